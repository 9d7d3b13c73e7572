"""Rows of the users table. What is done to an account is recorded in the same transaction."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from auth_service.model import Event, NewUser, Role, User
from auth_service.refresh_tokens import RefreshToken
from auth_service.store.audit import record
from shared.database.pool import Connection, Database

COLUMNS = "users.id, email, name, role, disabled_at, users.created_at, users.updated_at"
"""The columns that make a User."""


def read(row: asyncpg.Record) -> User:
    """Make a User from a row with COLUMNS."""
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        disabled_at=row["disabled_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


NotChanged = Literal["outdated", "session_ended"]
"""Why a password was not changed."""


class _SessionEnded(Exception):
    """Rolls back a change of password, because the session that it was to keep has ended."""


class AccountStore:
    """Users in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: NewUser, event: Event) -> User | None:
        """Add a user; returns None if the email_key is taken."""
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                "INSERT INTO users (id, email, email_key, name, password_hash, role) VALUES ($1, $2, $3, $4, $5, $6)"
                f" ON CONFLICT (email_key) DO NOTHING RETURNING {COLUMNS}",
                new.id,
                new.email,
                new.email_key,
                new.name,
                new.password_hash,
                new.role,
            )
            if row is None:
                return None
            await record(connection, event)
        return read(row)

    async def find(self, email_key: str) -> tuple[User, str] | None:
        """Return the user with this email_key and the password hash, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS}, password_hash FROM users WHERE email_key = $1", email_key
            )
        return None if row is None else (read(row), row["password_hash"])

    async def get(self, user_id: UUID) -> tuple[User, str] | None:
        """Return the user with this id and the password hash, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS}, password_hash FROM users WHERE id = $1", user_id)
        return None if row is None else (read(row), row["password_hash"])

    async def page(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[User]:
        """Return up to `limit` users who registered before that one, newest first."""
        moment, user_id = before or (None, None)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {COLUMNS} FROM users"
                " WHERE $1::timestamptz IS NULL OR (created_at, id) < ($1, $2::uuid)"
                " ORDER BY created_at DESC, id DESC LIMIT $3",
                moment,
                user_id,
                limit,
            )
        return [read(row) for row in rows]

    async def replace_hash(self, user_id: UUID, old: str, new: str) -> bool:
        """Store a new hash of the same password; returns False if the stored hash is no longer `old`."""
        async with self._database.connection() as connection:
            done = await connection.fetchval(
                "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING true",
                user_id,
                old,
                new,
            )
        return bool(done)

    async def beyond_ascii(self) -> Sequence[tuple[UUID, str, str]]:
        """Return id, address and email_key of every user whose address has characters outside ASCII."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, email, email_key FROM users WHERE octet_length(email) > char_length(email)"
            )
        return [(row["id"], row["email"], row["email_key"]) for row in rows]

    async def replace_key(self, user_id: UUID, email_key: str) -> bool:
        """Store another email_key; returns False if it is taken."""
        async with self._database.connection() as connection:
            try:
                await connection.execute("UPDATE users SET email_key = $2 WHERE id = $1", user_id, email_key)
            except asyncpg.UniqueViolationError:
                return False
        return True

    async def rename(self, user_id: UUID, name: str) -> User | None:
        """Change a user's name; returns None if the user has been deleted or disabled."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "UPDATE users SET name = $2, updated_at = now() WHERE id = $1 AND disabled_at IS NULL"
                f" RETURNING {COLUMNS}",
                user_id,
                name,
            )
        return None if row is None else read(row)

    async def change_password(
        self,
        user_id: UUID,
        old_hash: str | None,
        new_hash: str,
        event: Event,
        *,
        keep: UUID | None = None,
        new_id: UUID | None = None,
        token: RefreshToken | None = None,
    ) -> User | NotChanged:
        """Store the hash of a new password and end the user's sessions.

        Args:
            user_id: The user.
            old_hash: The hash that the old password was checked against. If the stored hash is a different one by now,
                or the user is disabled, nothing is done. None: store it regardless, and forget the known networks.
            new_hash: The new hash.
            event: The event to record.
            keep: A session to keep, under a new id and with a new refresh token, so that none of its tokens lives on.
            new_id: That id.
            token: That refresh token.

        Returns:
            The user, or why nothing was done: "outdated" if the stored hash is not `old_hash` or the user is disabled,
            "session_ended" if the session to keep has ended.
        """
        try:
            async with self._database.connection() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "UPDATE users SET password_hash = $3, updated_at = now(), networks_forgotten_at ="
                    " CASE WHEN $2::text IS NULL THEN now() ELSE networks_forgotten_at END WHERE id = $1"
                    f" AND ($2::text IS NULL OR (password_hash = $2 AND disabled_at IS NULL)) RETURNING {COLUMNS}",
                    user_id,
                    old_hash,
                    new_hash,
                )
                if row is None:
                    return "outdated"
                await connection.execute(
                    "DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2", user_id, keep
                )
                if token is not None and not await connection.fetchval(
                    "UPDATE sessions SET id = $2, family_hash = $3, secret_hash = $4, previous_hash = NULL,"
                    " nonce = NULL, key_hash = NULL, sealed_nonce = NULL, rotated_at = NULL"
                    " WHERE id = $1 AND expires_at > now() RETURNING true",
                    keep,
                    new_id,
                    token.family_hash,
                    token.secret_hash,
                ):
                    raise _SessionEnded
                await record(connection, event)
        except _SessionEnded:
            return "session_ended"
        return read(row)

    @asynccontextmanager
    async def locked_with_admins(self, user_id: UUID) -> AsyncIterator["LockedUser"]:
        """Lock a user and every active admin for the duration of the block, which is one transaction.

        Two admins who each remove the other, as the last two, take turns here: the second sees what the first did.
        Everyone locks rows in the same order, so no two wait for each other.
        """
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(
                f"SELECT {COLUMNS}, role = 'admin' AND disabled_at IS NULL AS is_active_admin FROM users"
                " WHERE (role = 'admin' AND disabled_at IS NULL) OR id = $1 ORDER BY id FOR UPDATE",
                user_id,
            )
            user = next((read(row) for row in rows if row["id"] == user_id), None)
            yield LockedUser(connection, user, [row["id"] for row in rows if row["is_active_admin"]])


class LockedUser:
    """A user who stays as they are until the transaction ends, and what can be done to them in it.

    Args:
        connection: The connection that holds the locks.
        user: The user; None if there is no such user.
        active_admins: Every admin who isn't disabled.
    """

    def __init__(self, connection: Connection, user: User | None, active_admins: Sequence[UUID]) -> None:
        self._connection = connection
        self.user = user
        self.active_admins = active_admins

    async def change(self, user_id: UUID, role: Role | None, disabled: bool | None, events: Iterable[Event]) -> User:
        """Change what is not None; disabling ends all sessions."""
        [row] = await self._connection.fetch(
            "UPDATE users SET role = coalesce($2, role), updated_at = now(), disabled_at ="
            " CASE WHEN $3::bool IS NULL THEN disabled_at WHEN $3 THEN coalesce(disabled_at, now()) END"
            f" WHERE id = $1 RETURNING {COLUMNS}",
            user_id,
            role,
            disabled,
        )
        if disabled:
            await self._connection.execute("DELETE FROM sessions WHERE user_id = $1", user_id)
        for event in events:
            await record(self._connection, event)
        return read(row)

    async def remove(self, user_id: UUID, password_hash: str, event: Event) -> bool:
        """Delete the user and all their sessions.

        Returns:
            False if the user is disabled, or the stored hash is a different one by now; nothing was done.
        """
        done = await self._connection.fetchval(
            "DELETE FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL RETURNING true",
            user_id,
            password_hash,
        )
        if done:
            await record(self._connection, event)
        return bool(done)
