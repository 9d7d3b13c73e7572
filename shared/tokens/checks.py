"""The thirteen checks, as one table. Their order is part of the contract: the first check that fails decides the error.

Nothing in the payload is read before the signature over it has been verified. python-jose computes the HMAC and nothing
else, because its own decoding accepts a missing exp, duplicate names, an unknown crit, and strings for numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from shared import base64url, strict_json
from shared.tokens import claims
from shared.tokens.claims import Claims, listed, shown
from shared.tokens.errors import (
    TokenAlgorithmRefused,
    TokenAudienceWrong,
    TokenClaimInvalid,
    TokenClaimMissing,
    TokenExpired,
    TokenHeaderRefused,
    TokenIssuedInFuture,
    TokenIssuerWrong,
    TokenKeyUnknown,
    TokenMalformed,
    TokenNotYetValid,
    TokenRefused,
    TokenSignatureInvalid,
    TokenTooLarge,
    TokenTypeWrong,
)
from shared.tokens.keys import Key, KeySet

SEGMENTS = 3
"""Header, payload and signature (RFC 7515 section 3.1)."""

REFUSED_HEADERS = ("crit", "jku", "jwk", "x5u", "x5c", "b64")
"""Header members with which a token would bring its own key, or change how it is to be read."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a verifier expects of a token.

    Args:
        issuer: The only `iss` accepted.
        audience: The service's own name, which must be in `aud`.
        leeway: Seconds by which two machines' clocks may differ.
        unknown_key_hint: What to do about a token that was signed with an unknown key.
    """

    issuer: str
    audience: str
    leeway: float
    unknown_key_hint: str


@dataclass(slots=True)
class Examination:
    """A token under examination. Each check reads what earlier checks found, and adds what it finds itself."""

    token: str
    keys: KeySet
    expected: Expected
    now: float
    """Seconds since the epoch."""
    segments: tuple[bytes, bytes, bytes] = field(init=False)
    header: dict[str, object] = field(init=False)
    key: Key = field(init=False)
    payload: dict[str, object] = field(init=False)
    claims: Claims = field(init=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table.

    Args:
        number: Its place in the order, from 1.
        name: A short name, for lists.
        errors: What it raises.
        sentence: What it requires, in one plain sentence.
        run: The check itself.
    """

    number: int
    name: str
    errors: tuple[type[TokenRefused], ...]
    sentence: str
    run: Callable[[Examination], None]

    def __call__(self, examination: Examination) -> None:
        """Run the check.

        Raises:
            TokenRefused: it failed; the error carries this check's number.
        """
        try:
            self.run(examination)
        except TokenRefused as error:
            error.data = {**error.data, "check": self.number}
            raise


def _size(it: Examination) -> None:
    size = len(it.token) if it.token.isascii() else len(it.token.encode("utf-8", "surrogatepass"))
    if size > claims.MAX_BYTES:
        raise TokenTooLarge(f"The token has {size} bytes; at most {claims.MAX_BYTES} are accepted")
    if not it.token.isascii():
        raise TokenMalformed("The token contains bytes that are not ASCII")


def _segments(it: Examination) -> None:
    parts = it.token.split(".")
    if len(parts) != SEGMENTS:
        raise TokenMalformed(f"Expected {SEGMENTS} segments separated by dots; got {len(parts)}")
    header, payload, signature = parts
    it.segments = _decoded("header", header), _decoded("payload", payload), _decoded("signature", signature)


def _decoded(name: str, segment: str) -> bytes:
    try:
        return base64url.decode(segment)
    except ValueError:
        raise TokenMalformed(f"The {name} is not canonical base64url without padding") from None


def _header(it: Examination) -> None:
    it.header = _object("header", it.segments[0])


def _object(name: str, data: bytes) -> dict[str, object]:
    try:
        value = strict_json.loads(data)
    except strict_json.NotStrict as error:
        raise TokenMalformed(f"The {name} is not one strict JSON object: {error}") from None
    if not isinstance(value, dict):
        raise TokenMalformed(f"The {name} must be a JSON object, but is {strict_json.kind(value)}")
    return value


def _header_members(it: Examination) -> None:
    for member in REFUSED_HEADERS:
        if member in it.header:
            raise TokenHeaderRefused(f"The header contains {member!r}; this issuer's tokens never do")


def _type(it: Examination) -> None:
    kind = it.header.get("typ")
    if not isinstance(kind, str) or kind.lower() != claims.TYPE:
        raise TokenTypeWrong(f"The header's typ must be {claims.TYPE!r}, but is {shown(kind)}")


def _key_id(it: Examination) -> None:
    kid = it.header.get("kid")
    if not isinstance(kid, str):
        raise TokenMalformed(f"The header's kid must be a string, but is {shown(kid)}")
    key = it.keys.get(kid)
    if key is None:
        raise TokenKeyUnknown(
            f"The token was signed with the key {shown(kid)}; this service has {listed(it.keys.kids)}",
            hint=it.expected.unknown_key_hint,
        )
    it.key = key


def _algorithm(it: Examination) -> None:
    # the key decides which algorithm verifies, never the token
    if it.header.get("alg") != it.key.alg:
        raise TokenAlgorithmRefused(
            f"The key {it.key.kid!r} is for {it.key.alg!r}, but the header says {shown(it.header.get('alg'))}"
        )


def _signature(it: Examination) -> None:
    if not it.key.verify(it.token[: it.token.rindex(".")].encode("ascii"), it.segments[2]):
        raise TokenSignatureInvalid(
            "The signature does not match: the header or the payload was changed after signing, or a different key "
            "signed it"
        )


def _payload(it: Examination) -> None:
    it.payload = _object("payload", it.segments[1])


def _claims_present(it: Examination) -> None:
    for name in claims.REQUIRED:
        if name not in it.payload:
            raise TokenClaimMissing(f"The token has no claim {name!r}")


def _claims_valid(it: Examination) -> None:
    it.claims = claims.read(it.payload)


def _parties(it: Examination) -> None:
    issuer, audience = it.expected.issuer, it.expected.audience
    if it.claims.iss != issuer:
        raise TokenIssuerWrong(
            f"This service trusts the issuer {issuer!r}; the token is from {shown(it.claims.iss)}",
            hint="Set JWT_ISSUER to the same value in every service.",
        )
    if audience not in it.claims.aud:
        raise TokenAudienceWrong(
            f"This service accepts the audience {audience!r}; the token is for {listed(it.claims.aud)}",
            hint=f"Add {audience!r} to JWT_AUDIENCES of the auth service, then sign in again.",
        )


def _times(it: Examination) -> None:
    now, leeway, times = it.now, it.expected.leeway, it.claims
    if now >= times.exp + leeway:
        raise TokenExpired(
            f"The token expired {_seconds(now - times.exp)} ago", hint="Sign in again, or use your refresh token."
        )
    if times.nbf is not None and now < times.nbf - leeway:
        raise TokenNotYetValid(f"The token becomes valid in {_seconds(times.nbf - now)}")
    if times.iat > now + leeway:
        raise TokenIssuedInFuture(
            f"The token was issued {_seconds(times.iat - now)} in the future",
            hint="Synchronize the clocks of both machines.",
        )
    lifetime = times.exp - times.iat
    if lifetime > claims.MAX_LIFETIME:
        raise TokenClaimInvalid(
            f"The token lives for {_seconds(lifetime)} from iat to exp; at most {claims.MAX_LIFETIME} s are accepted"
        )


def _seconds(seconds: float) -> str:
    return f"{math.floor(seconds)} s"


CHECKS = (
    Check(1, "Size", (TokenTooLarge, TokenMalformed), "The token has at most 4096 bytes, all ASCII.", _size),
    Check(2, "Three segments", (TokenMalformed,), "It has three segments of canonical, unpadded base64url.", _segments),
    Check(3, "Header", (TokenMalformed,), "The header is one JSON object in which no name appears twice.", _header),
    Check(
        4,
        "Header members",
        (TokenHeaderRefused,),
        f"The header has none of {', '.join(REFUSED_HEADERS)}.",
        _header_members,
    ),
    Check(5, "typ", (TokenTypeWrong,), f"typ is {claims.TYPE}, in any case.", _type),
    Check(6, "kid", (TokenMalformed, TokenKeyUnknown), "kid is the id of a key that this service has.", _key_id),
    Check(7, "alg", (TokenAlgorithmRefused,), "alg is the algorithm of that key.", _algorithm),
    Check(8, "Signature", (TokenSignatureInvalid,), "The signature matches the exact bytes received.", _signature),
    Check(9, "Payload", (TokenMalformed,), "The payload is one JSON object in which no name appears twice.", _payload),
    Check(
        10, "Claims present", (TokenClaimMissing,), f"{', '.join(claims.REQUIRED)} are all present.", _claims_present
    ),
    Check(
        11,
        "Claims valid",
        (TokenClaimInvalid,),
        "Every claim has the right type: UUIDs, bounded clean strings, finite numbers.",
        _claims_valid,
    ),
    Check(
        12,
        "iss and aud",
        (TokenIssuerWrong, TokenAudienceWrong),
        "iss is the trusted issuer, and aud contains this service.",
        _parties,
    ),
    Check(
        13,
        "Times",
        (TokenExpired, TokenNotYetValid, TokenIssuedInFuture, TokenClaimInvalid),
        "The token is not expired, is already valid, and lives for at most 24 hours.",
        _times,
    ),
)
"""The table. Only the last check depends on the time, so for a remembered token only that one runs again."""
