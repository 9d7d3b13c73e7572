"""What a row of a service's route table says: an address, who answers it, who may ask, what goes in and comes out.

A request is read by what its row says, and the OpenAPI document is made from it too (openapi.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.errors import NotFound, Problem

PUBLIC = "public"
"""Access for anyone: no token is looked at."""

SIGNED_IN = "signed-in"
"""Access for any valid token, whatever its scope."""

OPTIONAL = "optional"
"""Access for anyone, but a bearer token that is sent must be valid."""

JSON = "application/json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


class Schema(BaseModel):
    """The base of request bodies: JSON types as they are, unknown fields refused, values fixed once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a request or an answer.

    Args:
        name: As it is written.
        description: What it is for.
        pattern: What its value matches as a whole, in the syntax that Python and ECMA-262 share.
        example: A value.
    """

    name: str
    description: str
    pattern: str
    example: str


@dataclass(frozen=True, slots=True)
class Id(Generic[T]):
    """The {id} of a path.

    Args:
        adapter: What it is. Only the one way in which `str` writes a value is taken, so that a thing has one address.
        form: The same in words.
    """

    adapter: TypeAdapter[T]
    form: str

    def read(self, request: web.Request) -> T:
        """The id in the path of this request.

        Raises:
            NotFound: it can't be one.
        """
        assert request[ROUTE].id is self, "give the Route this id"
        text = request.match_info["id"]
        try:
            value = self.adapter.validate_strings(text)
        except ValidationError:
            value = None
        if value is None or str(value) != text:
            raise NotFound(f"There is nothing with this id: it must be {self.form}")
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer where nothing went wrong.

    Args:
        status: Its status.
        description: What it means.
        body: What it is made of; None where there is nothing, or nothing that is described.
        media_type: What the body is.
        headers: Headers that it has.
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
    """One address; GET answers HEAD too.

    Args:
        method: The method.
        path: The path, with {id} where an id stands.
        handler: Who answers. Its docstring is the summary in the document.
        access: PUBLIC, OPTIONAL, SIGNED_IN, or the scope that is needed.
        replies: The answers where nothing goes wrong.
        body: What the request's body must be.
        body_optional: Whether it is only needed where no token is sent.
        media_types: How the body may be declared.
        query: What the query string must be.
        headers: Request headers that it looks at, beyond those that every route does.
        id: What the {id} of the path is.
        errors: What it is refused with, beyond what follows from all else that stands here.
        asks_database: Whether it is refused where the service's database is gone.
    """

    method: str
    path: str
    handler: Handler
    access: str
    replies: Sequence[Reply] = (Reply(200, "Done"),)
    body: type[Schema] | None = None
    body_optional: bool = False
    media_types: Sequence[str] = (JSON,)
    query: type[Schema] | None = None
    headers: Sequence[Header] = ()
    id: Id[Any] | None = None
    errors: Sequence[type[Problem]] = ()
    asks_database: bool = True

    def __post_init__(self) -> None:
        """Refuse a route that says nothing about access.

        Raises:
            ValueError: `access` is neither one of those above nor a scope like "posts:read".
        """
        if self.access not in (PUBLIC, OPTIONAL, SIGNED_IN) and ":" not in self.access:
            raise ValueError(f"{self.method} {self.path}: give it a scope, SIGNED_IN, OPTIONAL or PUBLIC")


ROUTE: web.RequestKey[Route] = web.RequestKey("route", Route)
"""Where a request's own row is found."""
