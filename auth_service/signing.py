"""Signing access tokens. Only this module can mint one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from auth_service.model import SCOPES, User
from shared import base64url
from shared.tokens.claims import MAX_BYTES, TYPE
from shared.tokens.keyring import Keyring


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, its lifetime in seconds, and its scope."""

    token: str
    expires_in: int
    scope: str


class Signer:
    """Signs access tokens with the keyring's first key.

    Args:
        keyring: The keys.
        issuer: The `iss` of every token.
        audiences: The `aud` of every token: all services that accept it.
        lifetime: Seconds from iat to exp.
    """

    def __init__(self, keyring: Keyring, *, issuer: str, audiences: Sequence[str], lifetime: int) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._audiences = list(audiences)
        self._lifetime = lifetime

    def mint(self, user: User, session_id: UUID, now: float) -> AccessToken:
        """Sign a token for a user's session, valid from `now` (seconds since the epoch)."""
        key = self._keyring.current.signing
        issued_at = int(now)
        scope = SCOPES[user.role]
        header = {"alg": key.alg, "kid": key.kid, "typ": TYPE}
        claims = {
            "iss": self._issuer,
            "aud": self._audiences,
            "sub": str(user.id),
            "name": user.name,
            "scope": scope,
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": issued_at + self._lifetime,
        }
        signing_input = f"{_segment(header)}.{_segment(claims)}"  # RFC 7515 section 5.1
        token = f"{signing_input}.{base64url.encode(key.sign(signing_input.encode()))}"
        if len(token) > MAX_BYTES:
            raise AssertionError(f"every service would refuse a token of {len(token)} bytes; shorten JWT_AUDIENCES")
        return AccessToken(token, self._lifetime, scope)


def _segment(content: Mapping[str, object]) -> str:
    return base64url.encode(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
