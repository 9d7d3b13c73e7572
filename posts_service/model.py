"""The words that the posts service is written in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

READ = "posts:read"
WRITE = "posts:write"
MODERATE = "posts:moderate"


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts, as the token says."""

    id: UUID
    name: str
    moderates: bool
    """Whether posts of others may be changed and deleted."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post. `author_name` is what the author's token said when the post was written."""

    id: int
    author_id: UUID
    author_name: str
    title: str
    body: str
    tags: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """Which posts a list shows: those for which all that is not None holds."""

    author_id: UUID | None = None
    tags: Sequence[str] = ()
    """Every one of them."""
    words: str | None = None
    """As one types them into a search box: words, "phrases", or, -not."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts, the newest first, and the cursor of the next page if there is one."""

    items: list[Post]
    next: str | None


@dataclass(frozen=True, slots=True)
class Edit:
    """What of a post is to be changed; None stays as it is."""

    title: str | None = None
    body: str | None = None
    tags: list[str] | None = None
