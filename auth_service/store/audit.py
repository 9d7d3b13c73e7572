"""Rows of the audit_events table, which are only ever added."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from auth_service.model import Event
from shared.database.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded event."""

    id: int
    at: datetime
    event: Event


async def record(connection: Connection, event: Event) -> None:
    """Record an event in the connection's current transaction."""
    await connection.execute(
        "INSERT INTO audit_events (event, user_id, actor_id, session_id, address, detail)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        event.name,
        event.user_id,
        event.actor_id,
        event.session_id,
        event.address,
        event.detail,
    )


class AuditStore:
    """Events in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: Event) -> None:
        """Record an event on its own."""
        async with self._database.connection() as connection:
            await record(connection, event)

    async def prune(self, days: int, at_most: int) -> int | None:
        """Delete up to `at_most` of the events that are older than this, oldest first, and record that.

        Returns:
            How many were deleted; None if this role doesn't own the events.
        """
        async with self._database.connection() as connection:
            try:
                return int(await connection.fetchval("SELECT prune_audit_events($1, $2)", days, at_most))
            except asyncpg.InsufficientPrivilegeError:
                return None

    async def newest(self, limit: int, user_id: UUID | None = None) -> Sequence[Recorded]:
        """Return the newest events, oldest first; only those by or about one user, if given."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT * FROM audit_events WHERE $2::uuid IS NULL OR user_id = $2 OR actor_id = $2"
                " ORDER BY id DESC LIMIT $1",
                limit,
                user_id,
            )
        return [
            Recorded(
                row["id"],
                row["at"],
                Event(
                    row["event"],
                    row["user_id"],
                    row["actor_id"],
                    row["session_id"],
                    None if row["address"] is None else str(row["address"]),
                    row["detail"],
                ),
            )
            for row in reversed(rows)
        ]
