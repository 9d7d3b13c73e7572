"""Errors that only exist because a service speaks HTTP. Each names its status; domain errors don't (problems.py)."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, Self

from shared.errors import MAX_FAULTS, DomainError, Fault, Kind


class HttpError(DomainError):
    """The base of errors in the HTTP request itself."""

    kind = Kind.MALFORMED  # for the status, `status` decides
    status: ClassVar[HTTPStatus]
    bearer_error: ClassVar[str | None] = None
    """The error code of RFC 6750 section 3.1, if the Authorization header is at fault."""


class BodyMalformed(HttpError):
    """The body is not one strict JSON object."""

    status, code = HTTPStatus.BAD_REQUEST, "body_malformed"


class ParameterInvalid(HttpError):
    """A query parameter is unknown, or its value is not allowed."""

    status, code = HTTPStatus.BAD_REQUEST, "parameter_invalid"

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """Combine faults into one error; those past MAX_FAULTS are dropped."""
        found = faults[:MAX_FAULTS]
        return cls("; ".join(f"{fault.where}: {fault.message}" for fault in found), faults=found)

    @classmethod
    def example(cls) -> Self:
        """Return a typical instance for the OpenAPI document."""
        return cls.of([Fault("limit", "out_of_range", "it must be at most 100; 500 was sent", "parameter")])


class HeaderInvalid(HttpError):
    """A request header has a value that is not allowed."""

    status, code = HTTPStatus.BAD_REQUEST, "header_invalid"

    @classmethod
    def of(cls, header: str, message: str) -> Self:
        """Make the error for one header."""
        return cls(f"{header}: {message}", faults=[Fault(header, "header_invalid", message, "header")])

    @classmethod
    def example(cls) -> Self:
        """Return a typical instance for the OpenAPI document."""
        return cls.of("If-Match", 'it must be "*" or a comma-separated list of tags in double quotes')


class RequestMalformed(HttpError):
    """The request is not valid HTTP, or not a request this service can follow."""

    status, code = HTTPStatus.BAD_REQUEST, "request_malformed"


class MethodNotAllowed(HttpError):
    """The address exists, but not for this method; `Allow` lists the methods it accepts."""

    status, code = HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"


class RequestTimeout(HttpError):
    """The body did not arrive in time."""

    status, code = HTTPStatus.REQUEST_TIMEOUT, "request_timeout"


class BodyTooLarge(HttpError):
    """The body is larger than this service accepts."""

    status, code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"


class MediaTypeUnsupported(HttpError):
    """The body is not declared as JSON in UTF-8."""

    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported"
