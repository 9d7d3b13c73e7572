"""Rows of the users table. What is done to an account is recorded in the same transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from auth_service.errors import AdminOnly, EmailTaken, LastAdmin
from auth_service.model import Event, Role, User
from auth_service.store.audit import record
from shared.database import Connection, Database

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

    async def add(
        self, user_id: UUID, *, email: str, email_key: str, name: str, password_hash: str, role: Role, event: Event
    ) -> User:
        """Add a user; the unique email_key decides between competitors.

        Raises:
            EmailTaken: somebody has that key.
        """
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                "INSERT INTO users (id, email, email_key, name, password_hash, role) VALUES ($1, $2, $3, $4, $5, $6)"
                f" ON CONFLICT (email_key) DO NOTHING RETURNING {COLUMNS}",
                user_id,
                email,
                email_key,
                name,
                password_hash,
                role,
            )
            if row is None:
                raise EmailTaken(
                    "There is an account with this address already", hint="Sign in at POST /login instead."
                )
            await record(connection, event)
        return user(row)

    async def find(self, email_key: str) -> tuple[User, str] | None:
        """Return the user with this key and the password hash, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS}, password_hash FROM users WHERE email_key = $1", email_key
            )
        return None if row is None else (user(row), row["password_hash"])

    async def get(self, user_id: UUID) -> tuple[User, str] | None:
        """Return the user with this id and the password hash, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS}, password_hash FROM users WHERE id = $1", user_id)
        return None if row is None else (user(row), row["password_hash"])

    async def page(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[User]:
        """Return up to `limit` users who registered before that one, the newest first."""
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
        return [user(row) for row in rows]

    async def replace_hash(self, user_id: UUID, old: str, new: str) -> bool:
        """Store a new hash of the same password; False if there is another by now."""
        async with self._database.connection() as connection:
            done = await connection.fetchval(
                "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING true",
                user_id,
                old,
                new,
            )
        return bool(done)

    async def rename(self, user_id: UUID, name: str) -> User | None:
        """Give a user another name; None if the user is gone or disabled by now."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "UPDATE users SET name = $2, updated_at = now() WHERE id = $1 AND disabled_at IS NULL"
                f" RETURNING {COLUMNS}",
                user_id,
                name,
            )
        return None if row is None else user(row)

    async def change_password(
        self, user_id: UUID, old_hash: str | None, new_hash: str, keep: UUID | None, event: Event
    ) -> bool:
        """Store the hash of a new password and end the user's sessions.

        Args:
            user_id: Whose.
            old_hash: The hash that the old password was checked against: if it is another by now, or the user is
                disabled, nothing is done. None: do it whatever it is.
            new_hash: The new one.
            keep: A session that goes on.
            event: What is recorded.

        Returns:
            Whether it was done.
        """
        async with self._database.connection() as connection, connection.transaction():
            done = await connection.fetchval(
                "UPDATE users SET password_hash = $3, updated_at = now()"
                " WHERE id = $1 AND ($2::text IS NULL OR (password_hash = $2 AND disabled_at IS NULL)) RETURNING true",
                user_id,
                old_hash,
                new_hash,
            )
            if done:
                await connection.execute(
                    "DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2", user_id, keep
                )
                await record(connection, event)
        return bool(done)

    async def remove(self, user_id: UUID, password_hash: str, event: Event) -> bool:
        """Delete a user, and with the user all sessions.

        Returns:
            False if the user is gone or disabled by now, or has another password than that of the hash.

        Raises:
            LastAdmin: nobody would be left who can administer.
        """
        async with self._database.connection() as connection, connection.transaction():
            _keep_one(await _locked_admins(connection, user_id), user_id)
            done = await connection.fetchval(
                "DELETE FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL RETURNING true",
                user_id,
                password_hash,
            )
            if done:
                await record(connection, event)
        return bool(done)

    async def change(
        self, user_id: UUID, actor_id: UUID | None, role: Role | None, disabled: bool | None, address: str | None
    ) -> User | None:
        """Change what an admin may change, and leave what is None; disabling ends all sessions.

        What is so already is no change: it is not recorded, and without a change the user stays as it is.

        Returns:
            The user as it is now; None if there is no such user.

        Raises:
            AdminOnly: the actor is no admin any more.
            LastAdmin: nobody would be left who can administer.
        """
        async with self._database.connection() as connection, connection.transaction():
            admins = await _locked_admins(connection, user_id)
            if actor_id is not None and actor_id not in admins:
                raise AdminOnly("Your account can't administer any more")
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM users WHERE id = $1", user_id)
            if row is None:
                return None
            before, events = user(row), []
            if role not in (None, before.role):
                events.append(Event("role_changed", user_id, actor_id, address=address, detail=role))
            if disabled not in (None, before.disabled_at is not None):
                events.append(Event("disabled" if disabled else "enabled", user_id, actor_id, address=address))
            if not events:
                return before
            if disabled or role not in (None, "admin"):
                _keep_one(admins, user_id)
            [changed] = await connection.fetch(
                "UPDATE users SET role = coalesce($2, role), updated_at = now(), disabled_at ="
                " CASE WHEN $3::bool IS NULL THEN disabled_at WHEN $3 THEN coalesce(disabled_at, now()) END"
                f" WHERE id = $1 RETURNING {COLUMNS}",
                user_id,
                role,
                disabled,
            )
            if disabled:
                await connection.execute("DELETE FROM sessions WHERE user_id = $1", user_id)
            for event in events:
                await record(connection, event)
        return user(changed)


async def _locked_admins(connection: Connection, user_id: UUID) -> Sequence[UUID]:
    """Every admin who is not disabled; they, and this user, stay locked until the transaction ends.

    Two at once, each about the other of the last two admins, take turns here: the second sees what the first did. All
    that is locked is locked in the same order, so that no two wait for each other.
    """
    rows = await connection.fetch(
        "SELECT id, role = 'admin' AND disabled_at IS NULL AS counts FROM users"
        " WHERE (role = 'admin' AND disabled_at IS NULL) OR id = $1 ORDER BY id FOR UPDATE",
        user_id,
    )
    return [row["id"] for row in rows if row["counts"]]


def _keep_one(admins: Sequence[UUID], user_id: UUID) -> None:
    """Refuse to take the last admin away."""
    if list(admins) == [user_id]:
        raise LastAdmin("This is the last admin", hint="Make somebody else an admin first.")
