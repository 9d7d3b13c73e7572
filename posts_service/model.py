"""The words that the posts service is written in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

READ = "posts:read"
WRITE = "posts:write"
MODERATE = "posts:moderate"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, as the token says."""

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
class Page:
    """Some posts, the newest first, and the cursor of the next page if there is one."""

    items: list[Post]
    next: str | None
