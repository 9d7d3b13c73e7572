"""Deletes expired rows."""

from posts_service.store.idempotency import KEPT
from shared.database.pool import Database

BATCH = 500
"""Rows deleted per statement, so that nobody waits long for a lock."""

# any number will do; the replica that holds the lock sweeps, and the others skip the round
_LOCK = 0x73776570

_IDEMPOTENCY_KEYS = f"""
DELETE FROM idempotency_keys WHERE ctid IN (
    SELECT ctid FROM idempotency_keys WHERE created_at <= now() - {KEPT}
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""
_WRITE_ALLOWANCES = f"""
DELETE FROM write_allowances WHERE user_id IN (
    SELECT user_id FROM write_allowances WHERE full_at <= now()
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""


class SweepStore:
    """Expired rows in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> bool:
        """Delete one batch of each kind, and return whether there may be more.

        Returns False if another replica is already sweeping.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return False
            answers = [await connection.execute(statement) for statement in (_IDEMPOTENCY_KEYS, _WRITE_ALLOWANCES)]
        return any(int(answer.rpartition(" ")[2]) == BATCH for answer in answers)
