"""The access token: what is in it, and the checks that a service makes before it believes one.

This is the whole contract between the services. No HTTP in here, no I/O, and the time is an argument.
python-jose computes the HMAC and nothing else: its own decoding takes a missing exp, duplicate names, an unknown
crit and strings for numbers, so header and claims are read and checked here.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from sys import getsizeof
from typing import ClassVar, NoReturn, Self
from uuid import UUID

from shared import strict_json
from shared.errors import Problem
from shared.keyring import Key, Keyring, KeySet, decode
from shared.text import fault_in_line

MAX_BYTES = 4096
"""The longest token that is looked at."""

SEGMENTS = 3
"""Header, payload and signature (RFC 7515 section 3.1)."""

MEMO_BYTES = 16 * 1024 * 1024
"""Memory that remembered tokens may take; some 7,500 of them."""

MAX_LIFETIME = 24 * 3600
"""Seconds between iat and exp above which a token is no short-lived one."""

MAX_TEXT = 255
"""Characters in iss, an audience, jti."""

MAX_NAME = 100
"""Characters in name."""

MAX_NUMERIC_DATE = 253_402_300_799
"""The last second of the year 9999."""

TYPE = "at+jwt"
"""The media type that RFC 9068 gives to access tokens, so that no other JWT can pass for one."""

# two UUIDs with their numbers, two or three numbers, a tuple, and the entry of the dictionary
_ENTRY_BYTES = 800
_SHOWN_CHARACTERS = 40
_REFUSED_HEADERS = ("crit", "jku", "jwk", "x5u", "x5c", "b64")
_REQUIRED_CLAIMS = ("iss", "aud", "sub", "name", "scope", "sid", "jti", "iat", "exp")
# RFC 6749 section 3.3; empty where a user may do nothing
_SCOPE = re.compile(r"(?:[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*)?")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. The names are the claims' own (RFC 7519 section 4.1, RFC 9068 section 2.2)."""

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


class TokenRefused(Problem):
    """The base of every reason not to believe a token. RFC 6750 calls all of them invalid_token.

    Args:
        check: Which of the thirteen checks speaks, one of `checks`; a member of the error's body.
        detail: As in Problem.
        hint: As in Problem.
    """

    status = 401
    bearer_error = "invalid_token"
    checks: ClassVar[tuple[int, ...]]
    """The checks that answer with this code."""

    @classmethod
    def example(cls) -> Self:
        """As in Problem."""
        return cls(cls.checks[0], cls.meaning())

    def __init__(self, check: int, detail: str, *, hint: str | None = None) -> None:
        assert check in self.checks, f"{self.code} is not documented for check {check}"
        super().__init__(detail, hint, members={"check": check})
        self.check = check


class TokenTooLarge(TokenRefused):
    """Longer than any token of ours."""

    checks, code = (1,), "token_too_large"


class TokenMalformed(TokenRefused):
    """Not three segments of canonical base64url with one JSON object each."""

    checks, code = (1, 2, 3, 6, 9), "token_malformed"


class TokenHeaderRefused(TokenRefused):
    """The header brings its own key, or asks for an extension."""

    checks, code = (4,), "token_header_refused"


class TokenTypeWrong(TokenRefused):
    """A JWT, but not an access token."""

    checks, code = (5,), "token_type_wrong"


class TokenKeyUnknown(TokenRefused):
    """Signed with a key that this service does not hold."""

    checks, code = (6,), "token_key_unknown"


class TokenAlgorithmRefused(TokenRefused):
    """The header names another algorithm than that of the key."""

    checks, code = (7,), "token_algorithm_refused"


class TokenSignatureInvalid(TokenRefused):
    """Header or payload are not what was signed."""

    checks, code = (8,), "token_signature_invalid"


class TokenClaimMissing(TokenRefused):
    """A claim that every access token has is not there."""

    checks, code = (10,), "token_claim_missing"


class TokenClaimInvalid(TokenRefused):
    """A claim has a type or a value that no access token has."""

    checks, code = (11, 13), "token_claim_invalid"


class TokenIssuerWrong(TokenRefused):
    """From somebody else."""

    checks, code = (12,), "token_issuer_wrong"


class TokenAudienceWrong(TokenRefused):
    """Meant for other services."""

    checks, code = (12,), "token_audience_wrong"


class TokenExpired(TokenRefused):
    """Its time is over: exp has passed."""

    checks, code = (13,), "token_expired"


class TokenNotYetValid(TokenRefused):
    """Its time has not come: nbf is still to come."""

    checks, code = (13,), "token_not_yet_valid"


class TokenIssuedInFuture(TokenRefused):
    """Issued later than now: iat is still to come, so one of two clocks is wrong."""

    checks, code = (13,), "token_issued_in_future"


class Memo:
    """Remembers what verified tokens say: the result of a pure function, not a session.

    Bounded in bytes; the token that was used longest ago goes first. Everything goes with the keys that verified it.
    """

    def __init__(self, limit: int = MEMO_BYTES) -> None:
        self._limit = limit
        self._keys: KeySet | None = None
        self._entries: OrderedDict[str, tuple[Claims, int]] = OrderedDict()
        self.size = 0
        """Bytes that the entries take, their share of the dictionary included."""

    def get(self, token: str, keys: KeySet) -> Claims | None:
        """Return what this very token says if these very keys verified it."""
        if keys is not self._keys:
            self._entries.clear()
            self.size, self._keys = 0, keys
        entry = self._entries.get(token)
        if entry is None:
            return None
        self._entries.move_to_end(token)
        return entry[0]

    def put(self, token: str, claims: Claims) -> None:
        """Remember a token that the keys of the last `get` verified."""
        size = _size(token, claims)
        self._entries[token] = claims, size
        self.size += size
        while self.size > self._limit:
            self.size -= self._entries.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._entries)


class Verifier:
    """Decides whether a token is to be believed.

    Args:
        keyring: Its current keys count; those that it had before do not, also for tokens remembered.
        issuer: The only `iss` accepted.
        audience: This service's own name, to be found in `aud`.
        leeway: Seconds by which the clocks of two machines may differ.
    """

    def __init__(self, keyring: Keyring, *, issuer: str, audience: str, leeway: float) -> None:
        self.keyring = keyring
        self.issuer = issuer
        self.audience = audience
        self.leeway = leeway
        self._memo = Memo()

    @property
    def remembered(self) -> int:
        """How many tokens are remembered right now."""
        return len(self._memo)

    def verify(self, token: str, now: float) -> Claims:
        """Return what the token says, if all thirteen checks pass at `now` (seconds since the epoch).

        The checks run in a fixed order (docs/errors.md), and the first that fails speaks; nothing that stands in the
        payload is looked at before the signature over it is good.

        Raises:
            TokenRefused: one of its subclasses, with the figures in `detail`.
        """
        keys = self.keyring.current
        claims = self._memo.get(token, keys)
        if claims is None:
            claims = self._verified(token, keys)
            self._check_times(claims, now)
            self._memo.put(token, claims)
        else:
            self._check_times(claims, now)
        return claims

    def _verified(self, token: str, keys: KeySet) -> Claims:
        """All checks but the last, which depends on the time."""
        _check_size(token)
        header, payload, signature = _segments(token)
        key = _key_for(_object_in("header", header, 3), keys)
        if not key.jose.verify(token[: token.rindex(".")].encode("ascii"), signature):
            raise TokenSignatureInvalid(
                8,
                "The signature does not match: the header or the payload was changed after signing, or another key "
                "signed it",
            )
        claims = _read_claims(_object_in("payload", payload, 9))
        self._check_parties(claims)
        return claims

    def _check_parties(self, claims: Claims) -> None:
        if claims.iss != self.issuer:
            raise TokenIssuerWrong(
                12,
                f"This service trusts the issuer {self.issuer!r}; the token is from {_shown(claims.iss)}",
                hint="Set JWT_ISSUER to the same value in every service.",
            )
        if self.audience not in claims.aud:
            raise TokenAudienceWrong(
                12,
                f"This service accepts the audience {self.audience!r}; the token is for {_listed(claims.aud)}",
                hint=f"Add {self.audience!r} to JWT_AUDIENCES of the auth service, or sign in where it is there.",
            )

    def _check_times(self, claims: Claims, now: float) -> None:
        if now >= claims.exp + self.leeway:
            raise TokenExpired(
                13, f"The token expired {_seconds(now - claims.exp)} ago", hint="Sign in again for a new one."
            )
        if claims.nbf is not None and now < claims.nbf - self.leeway:
            raise TokenNotYetValid(13, f"The token is valid only in {_seconds(claims.nbf - now)}")
        if claims.iat > now + self.leeway:
            raise TokenIssuedInFuture(
                13,
                f"The token was issued {_seconds(claims.iat - now)} from now",
                hint="Set the clocks of both machines by the same time server.",
            )
        lifetime = claims.exp - claims.iat
        if lifetime > MAX_LIFETIME:
            raise TokenClaimInvalid(
                13, f"The token lives for {_seconds(lifetime)} from iat to exp, at most {MAX_LIFETIME} s are accepted"
            )


def _size(token: str, claims: Claims) -> int:
    """Bytes of memory that one entry of the memo takes, never less than it really is."""
    texts = (token, claims.iss, claims.name, claims.jti, *claims.aud, *claims.scope)
    parts = (claims, claims.aud, claims.scope, *texts)
    return _ENTRY_BYTES + sum(map(getsizeof, parts))


def _check_size(token: str) -> None:
    size = len(token) if token.isascii() else len(token.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise TokenTooLarge(1, f"The token has {size} bytes, at most {MAX_BYTES} are accepted")
    if not token.isascii():
        raise TokenMalformed(1, "The token holds bytes that are not ASCII")


def _segments(token: str) -> tuple[bytes, bytes, bytes]:
    segments = token.split(".")
    if len(segments) != SEGMENTS:
        raise TokenMalformed(2, f"Expected {SEGMENTS} segments separated by dots, got {len(segments)}")
    return _decode("header", segments[0]), _decode("payload", segments[1]), _decode("signature", segments[2])


def _decode(name: str, segment: str) -> bytes:
    try:
        return decode(segment)
    except ValueError:
        raise TokenMalformed(2, f"The {name} is not canonical base64url without padding") from None


def _object_in(name: str, data: bytes, check: int) -> dict[str, object]:
    try:
        value = strict_json.loads(data)
    except strict_json.NotStrict as error:
        raise TokenMalformed(check, f"The {name} is not one strict JSON object: {error}") from None
    if not isinstance(value, dict):
        raise TokenMalformed(check, f"The {name} is not one strict JSON object: it is {strict_json.kind(value)}")
    return value


def _key_for(header: dict[str, object], keys: KeySet) -> Key:
    for member in _REFUSED_HEADERS:
        if member in header:
            raise TokenHeaderRefused(4, f"The header has {member!r}, which no token of this issuer has")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() != TYPE:
        raise TokenTypeWrong(5, f"The header must have the typ {TYPE!r}, it has {_shown(kind)}")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise TokenMalformed(6, f"The header must name its key in kid as a string, it has {_shown(kid)}")
    key = keys.keys.get(kid)
    if key is None:
        raise TokenKeyUnknown(
            6,
            f"The token is signed with the key {_shown(kid)}; this service knows {_listed(keys.kids)}",
            hint="Compare the kids in /health/ready of both services: they must be given the same keyring.",
        )
    if header.get("alg") != key.alg:
        raise TokenAlgorithmRefused(
            7, f"The key {kid!r} is for the algorithm {key.alg!r}, the header says {_shown(header.get('alg'))}"
        )
    return key


def _read_claims(payload: dict[str, object]) -> Claims:
    for name in _REQUIRED_CLAIMS:
        if name not in payload:
            raise TokenClaimMissing(10, f"The token has no claim {name!r}")
    return Claims(
        iss=_text(payload, "iss", MAX_TEXT),
        aud=_audiences(payload),
        sub=_uuid(payload, "sub"),
        name=_text(payload, "name", MAX_NAME),
        scope=_scope(payload),
        sid=_uuid(payload, "sid"),
        jti=_text(payload, "jti", MAX_TEXT),
        iat=_numeric_date(payload, "iat"),
        exp=_numeric_date(payload, "exp"),
        nbf=_numeric_date(payload, "nbf") if "nbf" in payload else None,
    )


def _text(payload: dict[str, object], name: str, limit: int) -> str:
    value = payload[name]
    if not isinstance(value, str):
        _refuse(name, f"must be a string, it is {strict_json.kind(value)}")
    if not 1 <= len(value) <= limit:
        _refuse(name, f"must have 1 to {limit} characters, it has {len(value)}")
    if fault := fault_in_line(value):
        _refuse(name, fault)
    return value


def _audiences(payload: dict[str, object]) -> tuple[str, ...]:
    value = payload["aud"]
    if not isinstance(value, list) or not value:
        _refuse("aud", f"must be a list of at least one string, it is {strict_json.kind(value)}")
    return tuple(_text({"aud": item}, "aud", MAX_TEXT) for item in value)


def _uuid(payload: dict[str, object], name: str) -> UUID:
    value = payload[name]
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != value:
        _refuse(name, f"must be a UUID in lower case with hyphens, it is {_shown(value)}")
    return found


def _scope(payload: dict[str, object]) -> frozenset[str]:
    value = payload["scope"]
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        _refuse("scope", "must be a string of scopes with one space between two (RFC 6749 section 3.3)")
    return frozenset(value.split())


def _numeric_date(payload: dict[str, object], name: str) -> float:
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(name, f"must be a number of seconds since 1970, it is {strict_json.kind(value)}")
    if not 0 <= value <= MAX_NUMERIC_DATE:  # infinity and NaN compare false
        _refuse(name, f"must be from 0 to {MAX_NUMERIC_DATE} seconds since 1970")
    return value


def _refuse(claim: str, fault: str) -> NoReturn:
    raise TokenClaimInvalid(11, f"The claim {claim!r} {fault}")


def _seconds(seconds: float) -> str:
    return f"{math.floor(seconds)} s"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(_shown(value) for value in values)


def _shown(value: object) -> str:
    """A value from a token as it may stand in an error: short, and printable ASCII without quotes or backslashes."""
    if value is None:
        return "none"
    if not isinstance(value, str):
        return strict_json.kind(value)
    short = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "..."
    return "'" + "".join(c if " " <= c <= "~" and c not in "\"'\\" else "?" for c in short) + "'"
