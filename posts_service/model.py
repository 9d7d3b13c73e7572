"""The domain vocabulary of the posts service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

READ = "posts:read"
WRITE = "posts:write"
MODERATE = "posts:moderate"


@dataclass(frozen=True, slots=True)
class Author:
    """The user who is acting, as named by the token."""

    id: UUID
    name: str
    moderates: bool
    """Whether they may change and delete other users' posts."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post. `author_name` is the name in the author's token when the post was written."""

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
class NewPost:
    """The content of a post that is not stored yet."""

    title: str
    body: str
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Edit:
    """The changes to a post; None leaves a field as it is."""

    title: str | None = None
    body: str | None = None
    tags: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which posts a list includes: those that meet every condition that is not None."""

    author_id: UUID | None = None
    tags: Sequence[str] = ()
    """Tags that a post must all have."""
    words: str | None = None
    """A search as typed into a search box: words, "phrases", or, -not."""


@dataclass(frozen=True, slots=True)
class PageSize:
    """How much a page holds at most."""

    posts: int
    bytes: int
    """Bytes of all bodies together, in UTF-8."""


@dataclass(frozen=True, slots=True)
class WriteLimit:
    """How often a user may write: `burst` times at once, and `per_second` in the long run."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts, newest first, and the cursor of the next page if there is one."""

    items: list[Post]
    next: str | None
