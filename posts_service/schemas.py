"""The bodies and queries that the posts service reads, and the bodies that it writes."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from posts_service.model import Page, Post
from shared.body import Schema
from shared.text import LINE, PROSE

Title = Annotated[str, Field(max_length=200), LINE]
Body = Annotated[str, Field(min_length=1, max_length=100_000), PROSE]
Tag = Annotated[str, Field(max_length=50), LINE]
Tags = Annotated[list[Tag], Field(max_length=10)]
# RFC 7396: null takes a member away, and a post without tags has none
ClearableTags = Annotated[Tags, BeforeValidator(lambda tags: [] if tags is None else tags)]


ME = "me"


def _author(text: str) -> str:
    try:
        fits = text == ME or str(UUID(text)) == text
    except ValueError:
        fits = False
    if not fits:
        raise PydanticCustomError("value_invalid", "it must be the id of a user, a UUID in lower case, or 'me'")
    return text


class NewPost(Schema):
    """Body of POST /posts."""

    title: Title
    body: Body
    tags: Tags = Field(default_factory=list)


class Change(Schema):
    """Body of PATCH /posts/{id}, a JSON Merge Patch (RFC 7396): what is not there stays as it is."""

    # the defaults are never looked at: only what was sent counts
    title: Title = ""
    body: Body = ""
    tags: ClearableTags = Field(default_factory=list)


class PageWanted(Schema):
    """Query of GET /posts."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False)] = 20
    cursor: str | None = None
    author: Annotated[str, AfterValidator(_author)] | None = None
    tag: Tags = Field(default_factory=list)
    q: Annotated[str, Field(min_length=1, max_length=200), PROSE] | None = None


class Removal(Schema):
    """Query of DELETE /posts."""

    author: Literal["me"]


@dataclass(frozen=True, slots=True)
class Removed:
    """What DELETE /posts answers."""

    deleted: int


POST = TypeAdapter(Post)
PAGE = TypeAdapter(Page)
REMOVED = TypeAdapter(Removed)
