"""Errors as answers (RFC 9457): the one place that gives an error its status, its headers and its body."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from shared.errors import DatabaseUnavailable, DomainError, Kind
from shared.http import idempotency
from shared.http.conditional_requests import IF_MATCH
from shared.http.errors import HttpError
from shared.http.routes import Route

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[Kind, HTTPStatus] = {
    Kind.MALFORMED: HTTPStatus.BAD_REQUEST,
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Kind.TOKEN_REFUSED: HTTPStatus.UNAUTHORIZED,
    Kind.AUTHENTICATION_TOO_OLD: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.SCOPE_INSUFFICIENT: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.VERSION_MISMATCH: HTTPStatus.PRECONDITION_FAILED,
    Kind.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.STORAGE_FULL: HTTPStatus.INSUFFICIENT_STORAGE,
    Kind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_PHRASES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Entity",
}
"""Phrases that differ between versions of Python, and must not here."""

BEARER_ERRORS: Mapping[Kind, str] = {
    Kind.TOKEN_REFUSED: "invalid_token",
    Kind.AUTHENTICATION_TOO_OLD: "insufficient_user_authentication",  # RFC 9470 section 3
    Kind.SCOPE_INSUFFICIENT: "insufficient_scope",
}
"""The error of RFC 6750 section 3.1 for each kind that an access token can cause."""

_HEADERS: Mapping[str, tuple[str, Callable[[object], str]]] = {
    "retry_after": ("Retry-After", str),
    "version": ("ETag", '"{}"'.format),
    "allow": ("Allow", str),
    "accept_encoding": ("Accept-Encoding", str),
}
"""The headers made from an error's data."""

_MEMBERS = ("check",)
"""The data that appears in the body (RFC 9457 section 3.2)."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_HOW_TO_REPEAT: Mapping[str, str] = {
    idempotency.NAME: "This request may have taken effect. Send it again with the same Idempotency-Key; if it had none,"
    " check first whether it took effect.",
    IF_MATCH.name: "This request may have taken effect. Send it again with the same If-Match; if it had none, read the"
    " resource first.",
}
"""The hint on a write whose outcome is unknown, by the header that makes it safe to repeat."""

_CHECK_FIRST = "This request may have taken effect. Check whether it did before you send it again."

# RFC 6750 section 3: error_description allows no quotes, backslashes or control characters
_UNQUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A rendered error."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def status_of(error: DomainError | type[DomainError]) -> HTTPStatus:
    """Return the status of an error, or of every error of a class."""
    error_class = error if isinstance(error, type) else type(error)
    return error_class.status if issubclass(error_class, HttpError) else STATUS[error_class.kind]


def phrase(status: HTTPStatus) -> str:
    """Return the phrase of a status."""
    return _PHRASES.get(status, status.phrase)


def bearer_error(error: DomainError | type[DomainError]) -> str | None:
    """Return the error code of RFC 6750 section 3.1, or None if no token is at fault."""
    error_class = error if isinstance(error, type) else type(error)
    return error_class.bearer_error if issubclass(error_class, HttpError) else BEARER_ERRORS.get(error_class.kind)


def content(error: DomainError, request_id: str, route: Route | None = None) -> dict[str, object]:
    """Return the members of the body. `type` is about:blank, so `title` is the status phrase; `code` identifies it."""
    status = status_of(error)
    body: dict[str, object] = {
        "type": "about:blank",
        "title": phrase(status),
        "status": int(status),
        "detail": error.detail,
        "code": error.code,
    }
    if (hint := error.hint or _hint_on_unknown_outcome(error, route)) is not None:
        body["hint"] = hint
    if error.faults:
        body["errors"] = [{f.place: f.where, "code": f.code, "message": f.message} for f in error.faults]
    return {**body, **{name: error.data[name] for name in _MEMBERS if name in error.data}, "request_id": request_id}


def answer(error: DomainError, request_id: str, realm: str | None = None, route: Route | None = None) -> Answer:
    """Render an error.

    Args:
        error: The error.
        request_id: The request's id.
        realm: The realm of a challenge; None before it is known which service was asked.
        route: The row of the request, if it has one.
    """
    headers = {"Content-Type": MEDIA_TYPE}
    for name, value in error.data.items():
        if name in _HEADERS:
            header, text = _HEADERS[name]
            headers[header] = text(value)
    if realm is not None and (bearer_error(error) or status_of(error) == HTTPStatus.UNAUTHORIZED):
        headers["WWW-Authenticate"] = _challenge(error, realm)
    # ASCII escapes, so that a lone surrogate from the request can be quoted without breaking the encoding
    return Answer(status_of(error), headers, json.dumps(content(error, request_id, route)).encode())


def _hint_on_unknown_outcome(error: DomainError, route: Route | None) -> str | None:
    """Return how to repeat a write that the database may have stored before it stopped answering."""
    if not isinstance(error, DatabaseUnavailable) or route is None or route.method in _SAFE_METHODS:
        return None
    return next((_HOW_TO_REPEAT[h.name] for h in route.headers if h.name in _HOW_TO_REPEAT), _CHECK_FIRST)


def _challenge(error: DomainError, realm: str) -> str:
    """Return the challenge of RFC 6750 section 3; it has an error only if a token was sent, and RFC 9470's max_age."""
    code = bearer_error(error)
    if code is None:
        return f'Bearer realm="{realm}"'
    description = _UNQUOTABLE.sub("?", error.detail)
    challenge = f'Bearer realm="{realm}", error="{code}", error_description="{description}"'
    return f'{challenge}, max_age="{error.data["max_age"]}"' if "max_age" in error.data else challenge
