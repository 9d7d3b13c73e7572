"""Rows of the sessions table. One statement decides what a refresh token is worth, by the database's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from auth_service.model import Client, Event, Session, SessionPolicy, User
from auth_service.refresh_tokens import RefreshToken
from auth_service.store.accounts import COLUMNS, read
from auth_service.store.audit import record
from shared.database.pool import Database

Outcome = Literal["rotated", "current", "previous", "repeated", "reused"]

# $1 the family's hash, $2 the secret's hash, $3 the successor's hash and $4 the nonce that makes it, $5 the grace
# period, $6 and $7 the idle and the maximum lifetime, $8 the address. With an idempotency key: $9 the hash of token and
# key, $10 the nonce sealed with them, $11 how long they count. A competitor waits at FOR UPDATE, then sees the row as
# the winner left it, and decides again.
#
# key_hash includes the hash of the secret that was current when it was written. So it counts for nothing once that is
# replaced, even by a replica of an older version, which doesn't know the column.
_REFRESH = f"""
WITH found AS (
    SELECT sessions.id AS session_id, nonce AS old_nonce, sealed_nonce AS old_sealed_nonce,
           sessions.created_at AS opened_at, {COLUMNS},
           CASE WHEN secret_hash = $2 AND (rotated_at IS NULL OR rotated_at <= now() - $5 * interval '1 s')
                    THEN 'rotated'
                WHEN secret_hash = $2
                    THEN 'current'
                WHEN previous_hash = $2 AND nonce IS NOT NULL AND rotated_at > now() - $5 * interval '1 s'
                    THEN 'previous'
                WHEN key_hash = sha256($9::bytea || secret_hash) AND rotated_at > now() - $11 * interval '1 s'
                    THEN 'repeated'
                ELSE 'reused'
           END AS outcome
      FROM sessions JOIN users ON users.id = sessions.user_id
     WHERE family_hash = $1 AND expires_at > now() AND disabled_at IS NULL
       FOR UPDATE OF sessions
), changed AS (
    UPDATE sessions SET
           secret_hash = CASE WHEN outcome = 'rotated' THEN $3 ELSE secret_hash END,
           previous_hash = CASE WHEN outcome = 'rotated' THEN $2 ELSE previous_hash END,
           nonce = CASE WHEN outcome = 'rotated' THEN $4 ELSE nonce END,
           -- a client that uses the current token has received it
           key_hash = CASE outcome WHEN 'rotated' THEN sha256($9::bytea || $3) WHEN 'current' THEN NULL
                                   ELSE key_hash END,
           sealed_nonce = CASE outcome WHEN 'rotated' THEN $10::bytea WHEN 'current' THEN NULL ELSE sealed_nonce END,
           rotated_at = CASE WHEN outcome = 'rotated' THEN now() ELSE rotated_at END,
           last_used_at = now(),
           expires_at = least(now() + $6 * interval '1 s', opened_at + $7 * interval '1 s'),
           address = $8::text::inet
      FROM found
     WHERE sessions.id = session_id AND outcome <> 'reused'
), ended AS (
    DELETE FROM sessions USING found WHERE sessions.id = session_id AND outcome = 'reused'
)
SELECT * FROM found
"""

# One log-in of a user at a time, so that each counts the sessions that earlier ones opened. If the password is changed
# or the user disabled before this lock, no row is found; if after it, the new session is ended.
_MAY_OPEN = (
    f"SELECT {COLUMNS} FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL FOR NO KEY UPDATE"
)

_EXCESS = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE user_id = $1
     ORDER BY expires_at > now() DESC, last_used_at DESC, id
    OFFSET $2::int - 1)
RETURNING id, expires_at > now() AS was_open
"""

_OPEN = """
INSERT INTO sessions (id, user_id, family_hash, secret_hash, device, address, expires_at)
VALUES ($1, $2, $3, $4, $5, $6::text::inet, now() + least($7::float8, $8::float8) * interval '1 s')
"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh token turned out to be.

    Args:
        outcome: "rotated": the current token, now replaced. "current": the current token, replaced too recently to be
            replaced again. "previous": its predecessor, within the grace period. "repeated": its predecessor with the
            same idempotency key, before the current one was used. "reused": anything else; the session has been ended.
        session_id: The session.
        user: Its user.
        nonce: Makes the current token from the predecessor, if the outcome is "previous".
        sealed_nonce: The same, sealed with the predecessor and its key, if the outcome is "repeated".
    """

    outcome: Outcome
    session_id: UUID
    user: User
    nonce: bytes | None
    sealed_nonce: bytes | None


class SessionStore:
    """Sessions in Postgres.

    Args:
        database: The database.
        policy: How long sessions live.
    """

    def __init__(self, database: Database, policy: SessionPolicy) -> None:
        self._database = database
        self._policy = policy

    async def add(
        self,
        session_id: UUID,
        user_id: UUID,
        *,
        password_hash: str,
        token: RefreshToken,
        client: Client,
        event: Event,
    ) -> User | None:
        """Open a session, and end the user's least recently used ones beyond the limit.

        Returns:
            The user as of now; None if the user was deleted or disabled, or the stored hash is a different one by now,
            and nothing was done.
        """
        async with self._database.connection() as connection, connection.transaction():
            user = await connection.fetchrow(_MAY_OPEN, user_id, password_hash)
            if user is None:
                return None
            for row in await connection.fetch(_EXCESS, user_id, self._policy.per_user):
                if row["was_open"]:
                    ended = Event("session_ended_by_limit", user_id, session_id=row["id"], address=client.address)
                    await record(connection, ended)
            await connection.execute(
                _OPEN,
                session_id,
                user_id,
                token.family_hash,
                token.secret_hash,
                client.device,
                client.address,
                self._policy.idle_seconds,
                self._policy.absolute_seconds,
            )
            await record(connection, event)
        return read(user)

    async def refresh(self, token: RefreshToken, nonce: bytes, key: str | None, client: Client) -> Refreshed | None:
        """Use a refresh token; `nonce` makes its successor if this use rotates it.

        A token of a known family that is neither the current one nor its predecessor ends the session, and so does the
        predecessor after the grace period, unless it comes with the idempotency key with which it was replaced.

        Returns:
            None if the family is unknown or its session has ended.
        """
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                _REFRESH,
                token.family_hash,
                token.secret_hash,
                token.successor(nonce).secret_hash,
                nonce,
                self._policy.grace_seconds,
                self._policy.idle_seconds,
                self._policy.absolute_seconds,
                client.address,
                None if key is None else token.key_hash(key),
                None if key is None else token.sealed(nonce, key),
                self._policy.key_seconds,
            )
            if row is None:
                return None
            found = Refreshed(
                row["outcome"],
                row["session_id"],
                read(row),
                row["old_nonce"],
                row["old_sealed_nonce"],
            )
            if found.outcome == "reused":
                await record(connection, _reuse(found.user.id, found.session_id, client.address))
        return found

    async def user_of(self, session_id: UUID, user_id: UUID, password_hash: str | None = None) -> User | None:
        """Return the user of a session, if the session hasn't ended, is this user's, and the user isn't disabled.

        With `password_hash`, the user must still have it.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id"
                " WHERE sessions.id = $1 AND users.id = $2 AND ($3::text IS NULL OR password_hash = $3)"
                " AND disabled_at IS NULL AND expires_at > now()",
                session_id,
                user_id,
                password_hash,
            )
        return None if row is None else read(row)

    async def of_user(self, user_id: UUID) -> Sequence[Session]:
        """Return a user's sessions, most recently used first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, device, address, created_at, last_used_at, expires_at FROM sessions"
                " WHERE user_id = $1 AND expires_at > now() ORDER BY last_used_at DESC, id",
                user_id,
            )
        return [_session(row) for row in rows]

    async def end_family(self, token: RefreshToken, address: str) -> None:
        """End the session of a refresh token, if there is one; a reused token is recorded as such."""
        await self._end(
            "family_hash = $1",
            token.family_hash,
            token.secret_hash,
            self._policy.grace_seconds,
            address=address,
            reused="NOT (secret_hash = $2"
            " OR (previous_hash = $2 AND nonce IS NOT NULL AND rotated_at > now() - $3 * interval '1 s'))",
        )

    async def end(self, session_id: UUID, user_id: UUID, address: str) -> bool:
        """End one of a user's sessions; returns False if the user has no such session."""
        return await self._end("id = $1 AND user_id = $2", session_id, user_id, address=address) > 0

    async def end_all(self, user_id: UUID, address: str, actor_id: UUID | None = None) -> int:
        """End all of a user's sessions, and return how many there were; `actor_id` is the admin who does it, if any."""
        return await self._end("user_id = $1", user_id, address=address, actor_id=actor_id)

    async def _end(
        self,
        condition: str,
        *arguments: object,
        address: str,
        reused: str = "false",
        actor_id: UUID | None = None,
    ) -> int:
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(
                # an expired session has already ended, swept or not
                f"DELETE FROM sessions WHERE {condition} AND expires_at > now()"
                f" RETURNING id, user_id, {reused} AS reused",
                *arguments,
            )
            for row in rows:
                session_id, user_id = row["id"], row["user_id"]
                name = "logged_out" if actor_id is None else "session_ended_by_admin"
                ended = Event(name, user_id, actor_id or user_id, session_id=session_id, address=address)
                await record(connection, _reuse(user_id, session_id, address) if row["reused"] else ended)
        return len(rows)


def _reuse(user_id: UUID, session_id: UUID, address: str) -> Event:
    # no actor: it may have been the user or a thief
    return Event("refresh_token_reused", user_id, session_id=session_id, address=address)


def _session(row: asyncpg.Record) -> Session:
    return Session(
        row["id"], row["device"], str(row["address"]), row["created_at"], row["last_used_at"], row["expires_at"]
    )
