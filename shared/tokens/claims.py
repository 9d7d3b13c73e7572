"""What an access token says: the claims, their limits, and reading them from a payload whose signature is valid."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from shared import strict_json
from shared.text_validation import fault_in_line
from shared.tokens.errors import TokenClaimInvalid

TYPE = "at+jwt"
"""RFC 9068's media type for access tokens; it keeps any other JWT from passing for one."""

REQUIRED = ("iss", "aud", "sub", "name", "scope", "sid", "jti", "iat", "exp")
"""The claims that every access token has."""

MAX_BYTES = 4096
"""The longest token accepted."""

MAX_LIFETIME = 24 * 3600
"""The most seconds between iat and exp; a token that lives longer is not a short-lived one."""

MAX_TEXT = 255
"""Characters in iss, jti and each audience."""

MAX_NAME = 100
"""Characters in name."""

MAX_NUMERIC_DATE = 253_402_300_799
"""The last second of the year 9999."""

_SHOWN_CHARACTERS = 40
# RFC 6749 section 3.3; empty for a user who may do nothing
_SCOPE = re.compile(r"(?:[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*)?")


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token, under their registered names (RFC 7519 section 4.1, RFC 9068 section 2.2)."""

    iss: str
    aud: tuple[str, ...]
    sub: UUID
    name: str
    scope: frozenset[str]
    sid: UUID
    jti: str
    iat: float
    exp: float
    nbf: float | None = None
    auth_time: float | None = None
    """When the user last proved to know the password (OpenID Connect Core 1.0 section 2)."""


def read(payload: Mapping[str, object]) -> Claims:
    """Read the claims from a payload that has all of REQUIRED.

    Raises:
        TokenClaimInvalid: a claim has a type or value that no access token has.
    """
    return Claims(
        iss=_text("iss", payload["iss"], MAX_TEXT),
        aud=_audiences(payload["aud"]),
        sub=_uuid("sub", payload["sub"]),
        name=_text("name", payload["name"], MAX_NAME),
        scope=_scope(payload["scope"]),
        sid=_uuid("sid", payload["sid"]),
        jti=_text("jti", payload["jti"], MAX_TEXT),
        iat=_numeric_date("iat", payload["iat"]),
        exp=_numeric_date("exp", payload["exp"]),
        nbf=_numeric_date("nbf", payload["nbf"]) if "nbf" in payload else None,
        auth_time=_numeric_date("auth_time", payload["auth_time"]) if "auth_time" in payload else None,
    )


def shown(value: object) -> str:
    """Quote a value from a token for an error message: shortened, in printable ASCII, without quotes or backslashes."""
    if value is None:
        return "none"
    if not isinstance(value, str):
        return strict_json.kind(value)
    short = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "..."
    return "'" + "".join(c if " " <= c <= "~" and c not in "\"'\\" else "?" for c in short) + "'"


def listed(values: Iterable[str]) -> str:
    """Quote several values, separated by commas."""
    return ", ".join(shown(value) for value in values)


def _text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        _refuse(name, f"must be a string, but is {strict_json.kind(value)}")
    if not 1 <= len(value) <= limit:
        _refuse(name, f"must have 1 to {limit} characters, but has {len(value)}")
    if fault := fault_in_line(value):
        _refuse(name, fault)
    return value


def _audiences(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        _refuse("aud", f"must be a list of at least one string, but is {strict_json.kind(value)}")
    return tuple(_text("aud", item, MAX_TEXT) for item in value)


def _uuid(name: str, value: object) -> UUID:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != value:
        _refuse(name, f"must be a lowercase UUID with hyphens, but is {shown(value)}")
    return found


def _scope(value: object) -> frozenset[str]:
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        _refuse("scope", "must be a string of scopes separated by single spaces (RFC 6749 section 3.3)")
    return frozenset(value.split())


def _numeric_date(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(name, f"must be a number of seconds since 1970, but is {strict_json.kind(value)}")
    if not 0 <= value <= MAX_NUMERIC_DATE:  # infinity and NaN compare false
        _refuse(name, f"must be from 0 to {MAX_NUMERIC_DATE} seconds since 1970")
    return value


def _refuse(name: str, fault: str) -> NoReturn:
    raise TokenClaimInvalid(f"The claim {name!r} {fault}")
