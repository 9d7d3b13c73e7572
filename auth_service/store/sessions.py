"""Rows of the sessions table."""

from uuid import UUID

from auth_service.model import User
from auth_service.store.accounts import COLUMNS, user
from shared.database import Database

MAX_PER_USER = 50
"""Sessions that one user can have; a further log-in ends the oldest."""


class SessionStore:
    """Sessions in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session_id: UUID, user_id: UUID) -> bool:
        """Open a session and end those beyond MAX_PER_USER; False if the user is gone or disabled by now."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "WITH excess AS (DELETE FROM sessions WHERE id IN ("
                "  SELECT id FROM sessions WHERE user_id = $2 ORDER BY created_at DESC OFFSET $3))"
                " INSERT INTO sessions (id, user_id)"
                " SELECT $1, id FROM users WHERE id = $2 AND disabled_at IS NULL RETURNING id",
                session_id,
                user_id,
                MAX_PER_USER - 1,
            )
        return row is not None

    async def user_of(self, session_id: UUID, user_id: UUID) -> User | None:
        """Return the user of a session that lives, if it is this user's and the user is not disabled."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id"
                " WHERE sessions.id = $1 AND users.id = $2 AND disabled_at IS NULL",
                session_id,
                user_id,
            )
        return None if row is None else user(row)
