"""Signing tokens. Only this module can mint one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from auth_service.model import ACCOUNT_SCOPES, SCOPES, User
from shared import base64url
from shared.tokens.claims import MAX_BYTES, TYPE
from shared.tokens.keyring import Keyring
from shared.tokens.keys import Key


@dataclass(frozen=True, slots=True)
class SignedTokens:
    """Two signed tokens, each good for one thing.

    Args:
        access: For the resource services, signed with the shared key.
        account: For auth's own routes, signed with a key that only auth has.
        expires_in: The lifetime of both, in seconds.
        scope: What the access token allows.
    """

    access: str
    account: str
    expires_in: int
    scope: str


class Signer:
    """Signs tokens; the first key of each keyring signs.

    Args:
        shared: The keys that the resource services verify with.
        account: The keys that only auth has. A resource service that is taken over can sign anything with the shared
            keys, but nothing that auth accepts.
        issuer: The `iss` of every token.
        audiences: The `aud` of access tokens: every resource service.
        own_audience: The `aud` of account tokens: auth.
        lifetime: Seconds from iat to exp.
    """

    def __init__(
        self,
        shared: Keyring,
        account: Keyring,
        *,
        issuer: str,
        audiences: Sequence[str],
        own_audience: str,
        lifetime: int,
    ) -> None:
        self._shared = shared
        self._account = account
        self._issuer = issuer
        self._audiences = list(audiences)
        self._own_audience = own_audience
        self._lifetime = lifetime

    def mint(self, user: User, session_id: UUID, auth_time: float | None, now: float) -> SignedTokens:
        """Sign both tokens for a user's session.

        Args:
            user: The user.
            session_id: The session.
            auth_time: When the user proved to know the password for these tokens, in seconds since the epoch; None if
                nobody did.
            now: The tokens are valid from now on, in seconds since the epoch.
        """
        scope = SCOPES[user.role]
        access = self._claims(user, session_id, now, self._audiences, scope)
        account = self._claims(user, session_id, now, [self._own_audience], ACCOUNT_SCOPES[user.role])
        if auth_time is not None:
            account["auth_time"] = int(auth_time)
        return SignedTokens(
            access=_signed(self._shared.current.signing, access),
            account=_signed(self._account.current.signing, account),
            expires_in=self._lifetime,
            scope=scope,
        )

    def _claims(
        self, user: User, session_id: UUID, now: float, audiences: Sequence[str], scope: str
    ) -> dict[str, object]:
        return {
            "iss": self._issuer,
            "aud": audiences,
            "sub": str(user.id),
            "name": user.name,
            "scope": scope,
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": int(now),
            "exp": int(now) + self._lifetime,
        }


def _signed(key: Key, claims: Mapping[str, object]) -> str:
    """Serialize and sign (RFC 7515 section 7.1)."""
    header = {"alg": key.alg, "kid": key.kid, "typ": TYPE}
    signing_input = f"{_segment(header)}.{_segment(claims)}"
    token = f"{signing_input}.{base64url.encode(key.sign(signing_input.encode()))}"
    if len(token) > MAX_BYTES:
        raise AssertionError(f"every service would refuse a token of {len(token)} bytes; shorten JWT_AUDIENCES")
    return token


def _segment(content: Mapping[str, object]) -> str:
    return base64url.encode(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
