"""The bodies that the posts service reads and writes."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from posts_service.model import Page, Post
from shared.body import Schema
from shared.text import LINE, PROSE

Title = Annotated[str, Field(max_length=200), LINE]
Body = Annotated[str, Field(min_length=1, max_length=100_000), PROSE]
Tags = Annotated[list[Annotated[str, Field(max_length=50), LINE]], Field(max_length=10)]


class NewPost(Schema):
    """Body of POST /posts."""

    title: Title
    body: Body
    tags: Tags = Field(default_factory=list)


class Edit(Schema):
    """Body of PATCH /posts/{id}: what is not there stays as it is, and null takes nothing away."""

    # the defaults are never looked at: only what was sent counts
    title: Title = ""
    body: Body = ""
    tags: Tags = Field(default_factory=list)


class PageWanted(Schema):
    """Query of GET /posts."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False)] = 20
    cursor: str | None = None


POST = TypeAdapter(Post)
PAGE = TypeAdapter(Page)
