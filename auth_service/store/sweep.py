"""Deletes rows that count for nothing any more."""

from auth_service.store.attempts import KNOWN
from auth_service.store.sessions import GRACE
from shared.database import Database

BATCH = 500
"""Rows that one statement takes, so that nobody waits long for a lock."""

# an arbitrary number: whoever holds the lock sweeps, the others have nothing to do
_LOCK = 0x73776565

_STATEMENTS = (
    f"""DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at <= now()
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)""",
    f"""UPDATE sessions SET nonce = NULL, previous_hash = NULL WHERE id IN (
        SELECT id FROM sessions WHERE nonce IS NOT NULL AND rotated_at <= now() - {GRACE}
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)""",
    f"""DELETE FROM attempts WHERE key IN (
        SELECT key FROM attempts WHERE greatest(window_ends, allowed_at) <= now()
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)""",
    f"""DELETE FROM known_networks WHERE key IN (
        SELECT key FROM known_networks WHERE last_used_at <= now() - {KNOWN}
        LIMIT {BATCH} FOR UPDATE SKIP LOCKED)""",
)


class SweepStore:
    """What is over, in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> bool:
        """Take one batch of each kind away; True if there may be more. Another replica that is at it: False."""
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return False
            answers = [await connection.execute(statement) for statement in _STATEMENTS]
        return any(int(answer.rpartition(" ")[2]) == BATCH for answer in answers)
