"""Domain errors: what can go wrong, without a word about HTTP. shared/http/problems.py turns them into answers.

An error is a class with a stable `code` and a `kind`. `detail` says what happened, `hint` what to do about it. Code
that calls a library translates the library's exceptions into these once, at the border.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from typing import ClassVar, Self

MAX_FAULTS = 20
"""Faults reported in one error, so that a small request can't cause a huge answer."""


class Kind(Enum):
    """The sorts of errors that callers can tell apart without knowing the code."""

    MALFORMED = auto()
    """The input can't be parsed."""
    INVALID = auto()
    """The input was parsed, but breaks a rule."""
    UNAUTHENTICATED = auto()
    """It isn't known who is asking."""
    TOKEN_REFUSED = auto()
    """A token was sent and is not accepted."""
    AUTHENTICATION_TOO_OLD = auto()
    """The token is valid, but the user must prove again who they are; `max_age` in the data is in seconds."""
    FORBIDDEN = auto()
    """It is known who is asking, and they may not do this."""
    SCOPE_INSUFFICIENT = auto()
    """The access token is valid, and does not allow this."""
    NOT_FOUND = auto()
    CONFLICT = auto()
    """The request contradicts the current state."""
    VERSION_MISMATCH = auto()
    """The resource has changed since the client read it."""
    THROTTLED = auto()
    """Too many requests of this sort; `retry_after` in the data says when the next one is accepted."""
    UNAVAILABLE = auto()
    """The service can't do this right now, and may be able to soon."""
    STORAGE_FULL = auto()
    INTERNAL = auto()
    """A bug in this service."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input.

    Args:
        where: A JSON pointer into the body (RFC 6901), or the name of a parameter or header.
        code: What is wrong, for programs.
        message: What is wrong, for people: a sentence that names the limit.
        place: What `where` is: "pointer", "parameter" or "header".
    """

    where: str
    code: str
    message: str
    place: str = "pointer"


@dataclass(eq=False)
class DomainError(Exception):
    """The base of all errors that a client can get.

    Args:
        detail: What happened, with the figures, in one sentence.
        hint: The next step, where `detail` doesn't make it plain.
        faults: Every field, parameter or header that is wrong.
        data: Facts for programs, such as `retry_after` in seconds.
    """

    kind: ClassVar[Kind]
    code: ClassVar[str]

    detail: str
    hint: str | None = None
    faults: Sequence[Fault] = ()
    data: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def meaning(cls) -> str:
        """Return the class's docstring on one line; it describes the code in the OpenAPI document."""
        return " ".join((cls.__doc__ or "").split())

    @classmethod
    def example(cls) -> Self:
        """Return a typical instance for the OpenAPI document."""
        return cls(cls.meaning())

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def codes(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """Yield every subclass with a code of its own, among the modules imported so far."""
    for error_class in base.__subclasses__():
        if "code" in vars(error_class):
            yield error_class
        yield from codes(error_class)


class ValidationFailed(DomainError):
    """The body is JSON, but some fields are missing, unknown or not allowed; `errors` names each one."""

    kind, code = Kind.INVALID, "validation_failed"

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Self:
        """Combine faults into one error; those past MAX_FAULTS are dropped."""
        found = tuple(islice(faults, MAX_FAULTS))
        return cls("; ".join(f"{fault.where.removeprefix('/')}: {fault.message}" for fault in found), faults=found)

    @classmethod
    def example(cls) -> Self:
        """Return a typical instance for the OpenAPI document."""
        return cls.of(
            [
                Fault("/nmae", "field_unknown", "there is no such field"),
                Fault("/name", "field_missing", "this field is required"),
            ]
        )


class NotFound(DomainError):
    """The resource doesn't exist, or this client may not know about it."""

    kind, code = Kind.NOT_FOUND, "not_found"


class InternalError(DomainError):
    """A bug in this service. The log has the cause under the same request_id."""

    kind, code = Kind.INTERNAL, "internal_error"


class Busy(DomainError):
    """The service has more work waiting than it can do soon."""

    kind, code = Kind.UNAVAILABLE, "busy"


class Stopping(DomainError):
    """The service has been told to stop, so it should get no new work."""

    kind, code = Kind.UNAVAILABLE, "stopping"


class DatabaseUnavailable(DomainError):
    """The database can't be reached, is read-only, or was too slow; a write may have been stored all the same."""

    kind, code = Kind.UNAVAILABLE, "database_unavailable"


class StorageFull(DomainError):
    """The database has no room left to write."""

    kind, code = Kind.STORAGE_FULL, "storage_full"


class StartupError(Exception):
    """A service or command can't start. The message is one line with the reason and the fix."""
