"""What the posts service reads from requests and writes into answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from posts_service import model
from posts_service.search_words import MAX_PHRASE_WORDS, MAX_WORDS, terms
from shared.http import idempotency
from shared.http.routes import Header, Id, Schema
from shared.text_validation import PROSE, TITLE

Title = Annotated[str, Field(max_length=200, examples=["Hello"]), TITLE]
Body = Annotated[str, Field(min_length=1, max_length=100_000, examples=["My first post"]), PROSE]
Tag = Annotated[str, Field(max_length=50, examples=["news"]), TITLE]
Tags = Annotated[list[Tag], Field(max_length=10)]
# RFC 7396: null removes a member, so it leaves the post without tags
ClearableTags = Annotated[Tags | None, AfterValidator(lambda tags: tags or [])]


ME = "me"


def _author(text: str) -> str:
    try:
        valid = text == ME or str(UUID(text)) == text
    except ValueError:
        valid = False
    if not valid:
        raise PydanticCustomError("value_invalid", "it must be a user's id (a lowercase UUID) or 'me'")
    return text


def _search(text: str) -> str:
    words = [term.words for term in terms(text)]
    if sum(words) > MAX_WORDS:
        raise PydanticCustomError("value_invalid", f"it must have at most {MAX_WORDS} words; {sum(words)} were sent")
    if max(words, default=0) > MAX_PHRASE_WORDS:
        raise PydanticCustomError(
            "value_invalid", f"a phrase in it must have at most {MAX_PHRASE_WORDS} words; {max(words)} were sent"
        )
    return text


AuthorOrMe = Annotated[
    str,
    AfterValidator(_author),
    Field(
        description="Only posts by the user with this id; `me` for your own",
        examples=[ME],
        json_schema_extra={"pattern": "^(me|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"},
    ),
]

POST_ID = Id(TypeAdapter(Annotated[int, Field(ge=1, le=2**63 - 1, examples=[1])]), "whole numbers from 1")

ETAG = Header("ETag", "The post's version", r'"[1-9][0-9]*"', '"1"')
LOCATION = Header("Location", "The post's address", "/posts/[1-9][0-9]*", "/posts/1")
LINK = Header(
    "Link",
    "The address of the next page, if there is one",
    r'</posts\?.*>; rel="next"',
    '</posts?cursor=AQAAAAAAAAAB>; rel="next"',
)

IDEMPOTENCY_KEY = idempotency.header(
    "Makes it safe to send the same post again: within 24 hours, the same key gets the first answer again"
)


class NewPost(Schema):
    """Body of POST /posts."""

    title: Title
    body: Body
    tags: Tags = Field(default_factory=list)


class Change(Schema):
    """Body of PATCH /posts/{id}, a JSON Merge Patch (RFC 7396): fields left out stay as they are."""

    # only the fields that were sent count. Default factories keep the defaults out of the OpenAPI document too
    title: Title = Field(default_factory=str)
    body: Body = Field(default_factory=str)
    tags: ClearableTags = Field(default_factory=list)


class PageQuery(Schema):
    """Query of GET /posts."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False, description="Maximum number of posts")] = 20
    cursor: str | None = Field(default=None, description="`next` of the previous page")
    author: AuthorOrMe | None = None
    tag: Tags = Field(default_factory=list, description="Only posts with all of these tags")
    q: Annotated[str, Field(min_length=1, max_length=200), PROSE, AfterValidator(_search)] | None = Field(
        default=None,
        description=f'Only posts with these words (at most {MAX_WORDS}); "phrases" (at most {MAX_PHRASE_WORDS} words),'
        " or, -not. Punctuation separates words",
        examples=["first post"],
    )


class DeletionQuery(Schema):
    """Query of DELETE /posts."""

    author: Literal["me"]


@dataclass(frozen=True, slots=True)
class Post:
    """One post. `author_name` is the author's name when the post was written."""

    id: int
    author_id: UUID
    author_name: str
    title: str
    body: str
    tags: list[str]
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, post: model.Post) -> Self:
        """Show a post."""
        return cls(
            id=post.id,
            author_id=post.author_id,
            author_name=post.author_name,
            title=post.title,
            body=post.body,
            tags=post.tags,
            version=post.version,
            created_at=post.created_at,
            updated_at=post.updated_at,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts, newest first, and the cursor of the next page if there is one."""

    items: list[Post]
    next: str | None

    @classmethod
    def of(cls, page: model.Page) -> Self:
        """Show a page."""
        return cls([Post.of(post) for post in page.items], page.next)


@dataclass(frozen=True, slots=True)
class Removed:
    """Answer of DELETE /posts."""

    deleted: int


POST = TypeAdapter(Post)
PAGE = TypeAdapter(Page)
REMOVED = TypeAdapter(Removed)
