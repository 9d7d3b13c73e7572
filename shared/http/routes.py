"""The rows of a service's route table: address, handler, who may call it, what goes in and what comes out.

Requests are read by their row (dispatch.py), and the OpenAPI document is made from the same rows (openapi.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.errors import DomainError, NotFound

PUBLIC = "public"
"""Access for anyone; no token is read."""

SIGNED_IN = "signed-in"
"""Access with any valid token, whatever its scope."""

OPTIONAL = "optional"
"""Access for anyone, but a bearer token that is sent must be valid, unless an optional body stands in for it."""

JSON = "application/json"

Handler = Callable[..., Awaitable[web.StreamResponse]]
"""Called with the request, then with the values that its row says, in the order id, headers, query, body."""

T = TypeVar("T")


class Schema(BaseModel):
    """The base of request bodies and queries: exact JSON types, unknown fields refused, values immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Header:
    """A header as documented.

    Args:
        name: Its name.
        description: What it is for.
        pattern: A regular expression for the whole value, in the syntax that Python and ECMA-262 share.
        example: A value.
    """

    name: str
    description: str
    pattern: str
    example: str


@dataclass(frozen=True, slots=True)
class RequestHeader(Header, Generic[T]):
    """A request header that a handler uses.

    Args:
        read: Turns the header's values into what the handler gets; an empty sequence if the header is absent. Raises
            HeaderInvalid.
    """

    read: Callable[[Sequence[str]], T]


@dataclass(frozen=True, slots=True)
class Id(Generic[T]):
    """The {id} of a path.

    Args:
        adapter: Its type. Only the text that `str` gives for a value is accepted, so each resource has one address.
        form: A description of the accepted text.
    """

    adapter: TypeAdapter[T]
    form: str

    def read(self, text: str) -> T:
        """Read an id.

        Raises:
            NotFound: the text can't be one.
        """
        try:
            value = self.adapter.validate_strings(text)
        except ValidationError:
            value = None
        if value is None or str(value) != text:
            raise NotFound(f"Nothing has this id; ids here are {self.form}")
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer.

    Args:
        status: Its status.
        description: What it means.
        body: The body's type; None if there is no body, or it isn't described.
        media_type: The body's media type.
        headers: Headers that it always has.
        sometimes: Headers that it may have.
    """

    status: int
    description: str
    body: TypeAdapter[Any] | None = None
    media_type: str = JSON
    headers: Sequence[Header] = ()
    sometimes: Sequence[Header] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One row. GET rows answer HEAD too.

    Args:
        method: The method.
        path: The path, with {id} for an id.
        handler: Answers the request. The first line of its docstring is the summary in the OpenAPI document.
        access: PUBLIC, OPTIONAL, SIGNED_IN, or the scope that the token must have.
        replies: The successful answers.
        id: The type of {id}.
        headers: The request headers that the handler gets.
        query: The type of the query string.
        body: The type of the body.
        body_optional: Whether the body may be left out when a token is sent; the handler then gets None.
        media_types: The accepted media types of the body.
        errors: Errors beyond those that follow from the rest of the row.
        uses_database: Whether it fails while the service's database is unavailable.
        private: Whether its answers belong to one user, so that no cache may store them.
    """

    method: str
    path: str
    handler: Handler
    access: str
    replies: Sequence[Reply] = (Reply(200, "Done"),)
    id: Id[Any] | None = None
    headers: Sequence[RequestHeader[Any]] = ()
    query: type[Schema] | None = None
    body: type[Schema] | None = None
    body_optional: bool = False
    media_types: Sequence[str] = (JSON,)
    errors: Sequence[type[DomainError]] = ()
    uses_database: bool = True
    private: bool = False

    def __post_init__(self) -> None:
        """Refuse a row that doesn't say who may call it.

        Raises:
            ValueError: `access` is neither one of the constants above nor a scope like "posts:read".
        """
        if self.access not in (PUBLIC, OPTIONAL, SIGNED_IN) and ":" not in self.access:
            raise ValueError(f"{self.method} {self.path}: access must be a scope, SIGNED_IN, OPTIONAL or PUBLIC")


ROUTE: web.RequestKey[Route] = web.RequestKey("route", Route)
"""The row that a request belongs to; missing if there is none."""
