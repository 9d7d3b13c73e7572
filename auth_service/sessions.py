"""The rules of sessions: what a log-in opens, how it is continued, and when it is over."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from auth_service.accounts import refused
from auth_service.errors import AdminOnly, RefreshTokenInvalid, RefreshTokenReused, SessionEnded
from auth_service.model import Client, Event, Session, User
from auth_service.refresh_tokens import SECRET_BYTES, RefreshToken
from auth_service.signing import AccessToken, Signer
from auth_service.store.sessions import SessionStore
from shared.errors import NotFound
from shared.tokens import Claims


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in and a refresh give."""

    access: AccessToken
    refresh: RefreshToken


class Sessions:
    """What one can do with sessions.

    Args:
        store: Where they are kept.
        signer: Signs the access tokens.
    """

    def __init__(self, store: SessionStore, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    async def open(self, user: User, password_hash: str, client: Client, now: float) -> Tokens:
        """Open a session for a user whose password fits this hash, and sign its first access token.

        Raises:
            CredentialsInvalid: the user was disabled or deleted meanwhile, or has another password.
        """
        session_id, token = uuid4(), RefreshToken.new()
        event = Event("logged_in", user.id, user.id, session_id=session_id, address=client.address)
        if not await self._store.add(
            session_id, user.id, password_hash=password_hash, token=token, client=client, event=event
        ):
            raise refused()
        return Tokens(self._signer.mint(user, session_id, now), token)

    async def refresh(self, text: str, client: Client, now: float) -> Tokens:
        """Continue a session: a new access token, and the refresh token to use from now on.

        A token is replaced at its use, but not twice in 10 s: within that grace whoever comes with it, or with its
        predecessor, gets the current one. So two tabs, or an answer that was lost, do no harm.

        Raises:
            RefreshTokenReused: the token was replaced before, so two have it; the session is over for both.
            RefreshTokenInvalid: it is none, or its session is over.
        """
        token = RefreshToken.parse(text)
        nonce = secrets.token_bytes(SECRET_BYTES)
        found = None if token is None else await self._store.refresh(token, nonce, client)
        if token is None or found is None:
            raise RefreshTokenInvalid(
                "The refresh token is none of ours, or its session is over", hint="Sign in again."
            )
        match found.outcome:
            case "reused":
                raise RefreshTokenReused(
                    "The refresh token was replaced before, so somebody else has it too; the session was ended",
                    hint="Sign in again, and change the password if this was not a program of yours.",
                )
            case "rotated":
                token = token.successor(nonce)
            case "previous":
                assert found.nonce is not None, "within the grace the row has it"
                token = token.successor(found.nonce)
            case "current":
                pass
        return Tokens(self._signer.mint(found.user, found.session_id, now), token)

    async def user_of(self, claims: Claims) -> User:
        """Return the user whom a verified token belongs to, as the database knows that user now.

        What the token says of name and scope is not taken: auth's own routes go by the row.

        Raises:
            SessionEnded: the session was ended, or the user disabled or deleted.
        """
        user = await self._store.user_of(claims.sid, claims.sub)
        if user is None:
            raise SessionEnded("The session of this token was ended", hint="Sign in again.")
        return user

    async def admin_of(self, claims: Claims) -> User:
        """Return the user of a verified token, who is an admin by the row, whatever the token says.

        Raises:
            SessionEnded: as `user_of`.
            AdminOnly: the user is none, or no longer.
        """
        user = await self.user_of(claims)
        if user.role != "admin":
            raise AdminOnly("Your account can't administer any more")
        return user

    async def list(self, claims: Claims) -> Sequence[Session]:
        """Return the sessions of the signed-in user.

        Raises:
            SessionEnded: as `user_of`.
        """
        return await self._store.of_user((await self.user_of(claims)).id)

    async def log_out(self, text: str, client: Client) -> None:
        """End the session of a refresh token. One that is over, or never was, is fine too."""
        token = RefreshToken.parse(text)
        if token is not None:
            await self._store.end_family(token, client.address)

    async def log_out_by(self, claims: Claims, client: Client) -> None:
        """End the session of an access token. One that is over is fine too."""
        await self._store.end(claims.sid, claims.sub, client.address)

    async def end(self, claims: Claims, session_id: UUID, client: Client) -> None:
        """End a session of the signed-in user.

        Raises:
            SessionEnded: as `user_of`.
            NotFound: the user has no such session.
        """
        user = await self.user_of(claims)
        if not await self._store.end(session_id, user.id, client.address):
            raise NotFound("You have no such session")

    async def end_all(self, claims: Claims, client: Client) -> None:
        """End every session of the signed-in user, this one too.

        Raises:
            SessionEnded: as `user_of`.
        """
        await self._store.end_all((await self.user_of(claims)).id, client.address)
