"""One base for every error a client can get, and the one place that turns it into an answer (RFC 9457).

An error is a class with a stable `code`. What happened goes into `detail`, what to do about it into `hint`. Whoever
catches a library's exception translates it into one of these, once, at the border.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import ClassVar, Self

MAX_FAULTS = 20
"""Faults that one answer names: a small request must not get a huge answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input. `where` is a JSON pointer (RFC 6901), or a parameter's or header's name.

    `place` says which of the three it is: "pointer", "parameter" or "header".
    """

    where: str
    code: str
    message: str
    place: str = "pointer"


@dataclass(frozen=True, slots=True)
class Answer:
    """An error as it goes out: status, headers, and a body that is application/problem+json."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(eq=False)
class Problem(Exception):
    """The base of all errors that a client can get.

    Args:
        detail: What happened, with the figures; for a person to read.
        hint: What to do, where that isn't plain from `detail`. A class may have one for all of its errors.
        faults: Every field, parameter or header that is wrong.
        retry_after: Seconds after which trying again makes sense. Goes into Retry-After.
        headers: Further headers of the answer.
        members: Further members of the body (RFC 9457 section 3.2).
    """

    status: ClassVar[int]
    code: ClassVar[str]
    bearer_error: ClassVar[str | None] = None
    """The error code of RFC 6750 section 3.1, where the access token is at fault."""

    detail: str
    hint: str | None = None
    faults: Sequence[Fault] = ()
    retry_after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    members: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def meaning(cls) -> str:
        """What it means, in the words of its docstring."""
        return " ".join((cls.__doc__ or "").split())

    @classmethod
    def example(cls) -> Self:
        """One as it could be, for the OpenAPI document."""
        return cls(cls.meaning())

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def content(self, request_id: str) -> dict[str, object]:
        """The members of the body. `type` is about:blank, so `title` is the status phrase; `code` says which."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.hint is not None:
            body["hint"] = self.hint
        if self.faults:
            body["errors"] = [{f.place: f.where, "code": f.code, "message": f.message} for f in self.faults]
        return {**body, **self.members, "request_id": request_id}

    def render(self, request_id: str) -> Answer:
        """Render the answer."""
        headers = {"Content-Type": "application/problem+json", **self.headers}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        # ASCII escapes: a lone surrogate that a client sent can be told back without breaking the encoding
        return Answer(self.status, headers, json.dumps(self.content(request_id)).encode())


def codes(base: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Every error class that has a code of its own, of the modules imported so far."""
    for kind in base.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from codes(kind)


class BodyMalformed(Problem):
    """The body is not one strict JSON object."""

    status, code = 400, "body_malformed"


class ParameterInvalid(Problem):
    """A query parameter is unknown, or its value is not allowed."""

    status, code = 400, "parameter_invalid"

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """Make one error of all that is wrong with the parameters, or of the first MAX_FAULTS of it."""
        found = faults[:MAX_FAULTS]
        return cls("; ".join(f"{fault.where}: {fault.message}" for fault in found), faults=found)

    @classmethod
    def example(cls) -> Self:
        """As in Problem."""
        return cls.of([Fault("limit", "out_of_range", "it must be at most 100; 500 was sent", "parameter")])


class RequestMalformed(Problem):
    """The bytes are no HTTP request, or one that this service can't follow."""

    status, code = 400, "request_malformed"


class NotFound(Problem):
    """Nothing is there, or nothing that this client may know of."""

    status, code = 404, "not_found"


class MethodNotAllowed(Problem):
    """The address is there, but not for this method; `Allow` names those it takes."""

    status, code = 405, "method_not_allowed"


class RequestTimeout(Problem):
    """The body did not arrive in time."""

    status, code = 408, "request_timeout"


class BodyTooLarge(Problem):
    """The body is larger than this service takes."""

    status, code = 413, "body_too_large"


class MediaTypeUnsupported(Problem):
    """The body is not declared as JSON in UTF-8."""

    status, code = 415, "media_type_unsupported"


class HeaderInvalid(Problem):
    """A request header has a value that is not allowed."""

    status, code = 400, "header_invalid"

    @classmethod
    def of(cls, header: str, message: str) -> Self:
        """Make the error of one header."""
        return cls(f"{header}: {message}", faults=[Fault(header, "header_invalid", message, "header")])

    @classmethod
    def example(cls) -> Self:
        """As in Problem."""
        return cls.of("If-Match", 'it must be "*" or tags in double quotes with a comma between two')


class ValidationFailed(Problem):
    """The body is JSON, but fields of it are missing, unknown or not allowed; `errors` names every one."""

    status, code = 422, "validation_failed"

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Self:
        """Make one error of all that is wrong with the fields of a body, or of the first MAX_FAULTS of it."""
        found = tuple(islice(faults, MAX_FAULTS))
        return cls("; ".join(f"{fault.where.removeprefix('/')}: {fault.message}" for fault in found), faults=found)

    @classmethod
    def example(cls) -> Self:
        """As in Problem."""
        return cls.of(
            [
                Fault("/nmae", "field_unknown", "there is no such field"),
                Fault("/name", "field_missing", "this field is required"),
            ]
        )


class InternalError(Problem):
    """A fault of ours. The log has the cause under the same request_id."""

    status, code = 500, "internal_error"


class Busy(Problem):
    """More work is waiting than can be done soon."""

    status, code = 503, "busy"


class DatabaseUnavailable(Problem):
    """The database can't be reached, or did not answer in time."""

    status, code = 503, "database_unavailable"


class StorageFull(Problem):
    """The database has no room left to write."""

    status, code = 507, "storage_full"


class StartupError(Exception):
    """A service can't start. The message is one line that says why and how to mend it."""
