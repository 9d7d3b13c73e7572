"""Makes tokens of any kind, good and bad, without using the code under test."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

NOW = 1_800_000_000


def kid_of(secret: bytes) -> str:
    """The id of a key."""
    return base64.urlsafe_b64encode(hmac.digest(secret, b"key id", hashlib.sha256)[:12]).decode()


def keyring(secret: bytes) -> str:
    """A key file with one key."""
    encoded_key = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    entry = {"kty": "oct", "alg": "HS256", "use": "sig", "kid": kid_of(secret), "k": encoded_key}
    return json.dumps({"keys": [entry]})


SECRET = bytes(range(7, 39))
KID = kid_of(SECRET)
KEYRING = keyring(SECRET)
OTHER_SECRET = bytes(range(192, 224))
OTHER_KID = kid_of(OTHER_SECRET)
OTHER_KEYRING = keyring(OTHER_SECRET)
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "at+jwt", "kid": KID}
CLAIMS: dict[str, Any] = {
    "iss": "auth",
    "aud": ["auth", "posts"],
    "sub": "3f2b8c1e-9a4d-4c6b-8e2f-1d5a7b9c0e3f",
    "name": "Mallory",
    "scope": "posts:read posts:write",
    "sid": "0b7a3c5d-1e2f-4a6b-9c8d-7e6f5a4b3c2d",
    "jti": "6c1d2e3f-4a5b-4c7d-8e9f-0a1b2c3d4e5f",
    "iat": NOW - 60,
    "exp": NOW + 840,
}
ABSENT = object()
"""As a value, leaves its name out."""


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(part: Mapping[str, Any] | bytes) -> str:
    """Encode a segment: a mapping as compact JSON, bytes as they are."""
    if isinstance(part, Mapping):
        present = {name: value for name, value in part.items() if value is not ABSENT}
        part = json.dumps(present, separators=(",", ":")).encode()
    return b64(part)


def sign(signing_input: str, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """The signature segment over exactly these characters."""
    return b64(hmac.digest(secret, signing_input.encode("latin-1"), digest))


def token(
    header: Mapping[str, Any] | bytes = HEADER,
    claims: Mapping[str, Any] | bytes = CLAIMS,
    *,
    secret: bytes = SECRET,
    digest: str = "sha256",
) -> str:
    """A token with this header and these claims, signed over exactly what is sent."""
    signing_input = f"{encoded(header)}.{encoded(claims)}"
    return f"{signing_input}.{sign(signing_input, secret, digest)}"


def with_header(**changes: Any) -> str:
    """A correctly signed token with these changes to its header."""
    return token({**HEADER, **changes})


def with_claims(**changes: Any) -> str:
    """A correctly signed token with these changes to its claims."""
    return token(claims={**CLAIMS, **changes})


def of_size(size: int) -> str:
    """A good token of exactly this many bytes, padded with a claim that is never read."""
    for spare in range(size):
        made = with_claims(padding="x" * (max(0, (size - len(token())) * 3 // 4 - 40) + spare))
        if len(made) == size:
            return made
        if len(made) > size:
            break
    # base64 skips some lengths; padding in the header fills the gap
    for spare in range(1, 8):
        for more in range(size):
            made = token({**HEADER, "pad": "x" * spare}, {**CLAIMS, "padding": "x" * more})
            if len(made) == size:
                return made
    raise AssertionError(f"no token of {size} bytes")
