"""Rows of the users table."""

from uuid import UUID

import asyncpg

from auth_service.errors import EmailTaken
from auth_service.model import User
from shared.database import Database

COLUMNS = "users.id, email, name, role, disabled_at, users.created_at, users.updated_at"
"""What makes a User."""


def user(row: asyncpg.Record) -> User:
    """Make a User of a row that has COLUMNS."""
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        disabled_at=row["disabled_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


class AccountStore:
    """Users in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_id: UUID, email: str, email_key: str, name: str, password_hash: str) -> User:
        """Add a user; the unique email_key decides between competitors.

        Raises:
            EmailTaken: somebody has that key.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "INSERT INTO users (id, email, email_key, name, password_hash) VALUES ($1, $2, $3, $4, $5)"
                f" ON CONFLICT (email_key) DO NOTHING RETURNING {COLUMNS}",
                user_id,
                email,
                email_key,
                name,
                password_hash,
            )
        if row is None:
            raise EmailTaken("There is an account with this address already", hint="Sign in at POST /login instead.")
        return user(row)

    async def find(self, email_key: str) -> tuple[User, str] | None:
        """Return the user with this key and the password hash, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS}, password_hash FROM users WHERE email_key = $1", email_key
            )
        return None if row is None else (user(row), row["password_hash"])

    async def replace_hash(self, user_id: UUID, old: str, new: str) -> None:
        """Store a new hash of the same password, unless the password was changed meanwhile."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", user_id, old, new
            )
