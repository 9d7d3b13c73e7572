"""The only code that can mint a token."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from jose import jws

from auth_service.model import SCOPES, User
from shared.keyring import Keyring
from shared.tokens import MAX_BYTES, TYPE


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, how many seconds it lives, and what it allows."""

    token: str
    expires_in: int
    scope: str


class Signer:
    """Signs access tokens with the first key of the keyring.

    Args:
        keyring: The first of its current keys signs.
        issuer: The `iss` of every token.
        audiences: Every service that is to take them.
        lifetime: Seconds from iat to exp.
    """

    def __init__(self, keyring: Keyring, *, issuer: str, audiences: Sequence[str], lifetime: int) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._audiences = list(audiences)
        self._lifetime = lifetime

    def mint(self, user: User, session_id: UUID, now: float) -> AccessToken:
        """Sign a token for this user in this session, valid from `now` (seconds since the epoch)."""
        key = self._keyring.current.signing
        issued_at = int(now)
        scope = SCOPES[user.role]
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
        # given as bytes, because python-jose would write every character beyond ASCII as six
        payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
        token: str = jws.sign(payload, key.jose, headers={"typ": TYPE, "kid": key.kid}, algorithm=key.alg)
        if len(token) > MAX_BYTES:
            raise AssertionError(f"a token of {len(token)} bytes would be refused everywhere; shorten JWT_AUDIENCES")
        return AccessToken(token, self._lifetime, scope)
