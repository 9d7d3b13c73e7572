"""The rules of sessions: what a log-in opens, and whether it still lives."""

from uuid import uuid4

from auth_service.accounts import refused
from auth_service.errors import SessionEnded
from auth_service.model import User
from auth_service.signing import AccessToken, Signer
from auth_service.store.sessions import SessionStore
from shared.tokens import Claims


class Sessions:
    """What one can do with sessions.

    Args:
        store: Where they are kept.
        signer: Signs the access tokens.
    """

    def __init__(self, store: SessionStore, signer: Signer) -> None:
        self._store = store
        self._signer = signer

    async def open(self, user: User, now: float) -> AccessToken:
        """Open a session for a user whose password was right, and sign its first access token.

        Raises:
            CredentialsInvalid: the user was disabled or deleted meanwhile.
        """
        session_id = uuid4()
        if not await self._store.add(session_id, user.id):
            raise refused()
        return self._signer.mint(user, session_id, now)

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
