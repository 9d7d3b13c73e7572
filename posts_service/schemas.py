"""The bodies and queries that the posts service reads, and the bodies that it writes."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from posts_service.model import Page, Post
from shared.routes import Header, Id, Schema
from shared.text import LINE, PROSE

Title = Annotated[str, Field(max_length=200, examples=["Hello"]), LINE]
Body = Annotated[str, Field(min_length=1, max_length=100_000, examples=["My first post"]), PROSE]
Tag = Annotated[str, Field(max_length=50, examples=["news"]), LINE]
Tags = Annotated[list[Tag], Field(max_length=10)]
# RFC 7396: null takes a member away, and a post without tags has none
ClearableTags = Annotated[Tags | None, AfterValidator(lambda tags: tags or [])]


ME = "me"


def _author(text: str) -> str:
    try:
        fits = text == ME or str(UUID(text)) == text
    except ValueError:
        fits = False
    if not fits:
        raise PydanticCustomError("value_invalid", "it must be the id of a user, a UUID in lower case, or 'me'")
    return text


POST_ID = Id(TypeAdapter(Annotated[int, Field(ge=1, le=2**63 - 1, examples=[1])]), "a whole number from 1")

ETAG = Header("ETag", "Its version", r'"[1-9][0-9]*"', '"1"')
LOCATION = Header("Location", "Its address", "/posts/[1-9][0-9]*", "/posts/1")
LINK = Header(
    "Link",
    "The address of the next page, where there is one",
    r'</posts\?.*>; rel="next"',
    '</posts?cursor=AQAAAAAAAAAB>; rel="next"',
)
IDEMPOTENCY_KEY = Header(
    "Idempotency-Key",
    "Makes it safe to send a post again: within 24 hours the same key gives the first answer once more",
    r"[\x21-\x7e]{1,255}",
    "8e03978e-40d5-43e8-bc93-6894a57f9324",
)


AuthorOrMe = Annotated[
    str,
    AfterValidator(_author),
    Field(
        description="Written by the user with this id, or by whoever asks",
        examples=[ME],
        json_schema_extra={"pattern": "^(me|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"},
    ),
]


class NewPost(Schema):
    """Body of POST /posts."""

    title: Title
    body: Body
    tags: Tags = Field(default_factory=list)


class Change(Schema):
    """Body of PATCH /posts/{id}, a JSON Merge Patch (RFC 7396): what is not there stays as it is."""

    # only what was sent counts. Made by factories, the defaults stay out of the OpenAPI document too
    title: Title = Field(default_factory=str)
    body: Body = Field(default_factory=str)
    tags: ClearableTags = Field(default_factory=list)


class PageWanted(Schema):
    """Query of GET /posts."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False, description="Most posts of a page")] = 20
    cursor: str | None = Field(default=None, description="`next` of the page before")
    author: AuthorOrMe | None = None
    tag: Tags = Field(default_factory=list, description="Has all of these tags")
    q: Annotated[str, Field(min_length=1, max_length=200), PROSE] | None = Field(
        default=None, description='Has these words; "phrases", or, -not', examples=["first post"]
    )


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
