"""The rules of sessions: opening them at log-in, continuing them with refresh tokens, and ending them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from auth_service.accounts import credentials_invalid
from auth_service.errors import (
    AdminOnly,
    AuthenticationTooOld,
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionEnded,
)
from auth_service.model import Client, Event, Session, User
from auth_service.refresh_tokens import SECRET_BYTES, RefreshToken
from auth_service.signing import SignedTokens, Signer
from auth_service.store.sessions import SessionStore
from shared.errors import NotFound
from shared.tokens.claims import Claims

MAX_AGE_SECONDS = 600
"""How long ago the password may have been entered for what asks for that (RFC 9470)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in or a refresh returns."""

    signed: SignedTokens
    refresh: RefreshToken


class Sessions:
    """Everything a client can do with sessions.

    Args:
        store: The sessions.
        signer: Signs the access tokens.
    """

    def __init__(self, store: SessionStore, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    async def open(self, user: User, password_hash: str, client: Client, now: float) -> Tokens:
        """Open a session for a user whose password matched this hash, and sign its first access token.

        Raises:
            CredentialsInvalid: the user has been disabled or deleted, or has changed the password since.
        """
        session_id, token = uuid4(), RefreshToken.new()
        event = Event("logged_in", user.id, user.id, session_id=session_id, address=client.address)
        # a user whose role was changed while the password was checked gets the new one
        present = await self._store.add(
            session_id, user.id, password_hash=password_hash, token=token, client=client, event=event
        )
        if present is None:
            raise credentials_invalid()
        return Tokens(self._signer.mint(present, session_id, now, now), token)

    async def refresh(self, text: str, key: str | None, client: Client, now: float) -> Tokens:
        """Continue a session: return a new access token, and the refresh token to use from now on.

        Using a token replaces it, but not twice within the grace period. Until it ends, the token and its predecessor
        both return the current token, so that two tabs or a lost answer do no harm.

        Args:
            text: The refresh token.
            key: An idempotency key. If this use replaces the token, the same token with the same key returns the same
                successor for 24 hours, until the successor is used.
            client: Who is asking.
            now: The time.

        Raises:
            RefreshTokenReused: the token had already been replaced, so two parties have it. The session was ended.
            RefreshTokenInvalid: the token is invalid or its session has ended.
        """
        token = RefreshToken.parse(text)
        nonce = secrets.token_bytes(SECRET_BYTES)
        found = None if token is None else await self._store.refresh(token, nonce, key, client)
        if token is None or found is None:
            raise RefreshTokenInvalid("The refresh token is invalid or its session has ended", hint="Sign in again.")
        match found.outcome:
            case "reused":
                raise RefreshTokenReused(
                    "The refresh token had already been replaced, so someone else may have it; the session was ended",
                    hint="Sign in again. If this wasn't you, change your password.",
                )
            case "rotated":
                token = token.successor(nonce)
            case "previous":
                assert found.nonce is not None, "the row has it during the grace period"
                token = token.successor(found.nonce)
            case "repeated":
                assert found.sealed_nonce is not None, "its hash was found"
                assert key is not None, "its hash was found"
                token = token.successor(token.sealed(found.sealed_nonce, key))
            case "current":
                pass
        return Tokens(self._signer.mint(found.user, found.session_id, None, now), token)

    async def renew(self, user: User, session_id: UUID, password_hash: str, now: float) -> SignedTokens:
        """Sign new tokens for a session whose user has just proved to know the password with this hash.

        Raises:
            SessionEnded: the session has ended, or the password was changed since.
        """
        present = await self._store.user_of(session_id, user.id, password_hash)
        if present is None:
            raise session_ended()
        return self._signer.mint(present, session_id, now, now)

    def replaced(self, user: User, session_id: UUID, token: RefreshToken, now: float) -> Tokens:
        """Return the tokens of a session that was replaced because of a new password."""
        return Tokens(self._signer.mint(user, session_id, now, now), token)

    async def user_of(self, claims: Claims) -> User:
        """Return the user of a verified token, from the database.

        The name and scope in the token are ignored: auth's own routes go by the row.

        Raises:
            SessionEnded: the session has ended, or the user was disabled or deleted.
        """
        user = await self._store.user_of(claims.sid, claims.sub)
        if user is None:
            raise session_ended()
        return user

    async def admin_of(self, claims: Claims) -> User:
        """Return the user of a verified token, who must be an admin in the database, whatever the token says.

        Raises:
            SessionEnded: as for `user_of`.
            AdminOnly: the user is not an admin.
        """
        user = await self.user_of(claims)
        if user.role != "admin":
            raise AdminOnly("Your account is no longer an admin")
        return user

    async def list(self, claims: Claims) -> Sequence[Session]:
        """Return the signed-in user's sessions.

        Raises:
            SessionEnded: as for `user_of`.
        """
        return await self._store.of_user((await self.user_of(claims)).id)

    async def log_out(self, text: str, client: Client) -> None:
        """End the session of a refresh token; invalid tokens and ended sessions are ignored."""
        token = RefreshToken.parse(text)
        if token is not None:
            await self._store.end_family(token, client.address)

    async def log_out_by(self, claims: Claims, client: Client) -> None:
        """End the session of an access token; an ended session is ignored."""
        await self._store.end(claims.sid, claims.sub, client.address)

    async def end(self, claims: Claims, session_id: UUID, client: Client) -> None:
        """End one of the signed-in user's sessions.

        Raises:
            SessionEnded: as for `user_of`.
            NotFound: the user has no such session.
        """
        user = await self.user_of(claims)
        if not await self._store.end(session_id, user.id, client.address):
            raise NotFound("You have no such session")

    async def end_all(self, claims: Claims, client: Client, now: float) -> None:
        """End all of the signed-in user's sessions, including this one.

        Raises:
            SessionEnded: as for `user_of`.
            AuthenticationTooOld: as for `check_recent`.
        """
        user = await self.user_of(claims)
        check_recent(claims, now)
        await self._store.end_all(user.id, client.address)

    async def end_all_of(self, user_id: UUID, admin: User, client: Client) -> int:
        """End all sessions of another user on an admin's behalf, and return how many there were."""
        return await self._store.end_all(user_id, client.address, admin.id)


def check_recent(claims: Claims, now: float) -> None:
    """Check that the user has entered the password recently.

    Raises:
        AuthenticationTooOld: it was more than MAX_AGE_SECONDS ago, or the token was refreshed since.
    """
    # a refreshed token has no auth_time: a stolen refresh token is no proof of the password
    if claims.auth_time is None or now - claims.auth_time > MAX_AGE_SECONDS:
        raise AuthenticationTooOld(
            f"This needs a token for which you entered your password in the last {MAX_AGE_SECONDS} s",
            hint="Confirm your password, then try again with the new account_token.",
            data={"max_age": MAX_AGE_SECONDS},
        )


def session_ended() -> SessionEnded:
    """Return the error for a token whose session has ended."""
    return SessionEnded("The session of this token has ended", hint="Sign in again.")
