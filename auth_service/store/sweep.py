"""Deletes expired rows."""

from auth_service.model import SessionPolicy
from shared.database.pool import Database

BATCH = 500
"""Rows deleted per statement, so that nobody waits long for a lock."""

# any number will do; the replica that holds the lock sweeps, and the others skip the round
_LOCK = 0x73776565

_EXPIRED_SESSIONS = f"""
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at <= now()
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""
_GRACE_SECRETS = f"""
UPDATE sessions SET nonce = NULL, previous_hash = NULL WHERE id IN (
    SELECT id FROM sessions WHERE nonce IS NOT NULL AND rotated_at <= now() - $1 * interval '1 s'
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""
_SEALS = f"""
UPDATE sessions SET key_hash = NULL, sealed_nonce = NULL WHERE id IN (
    SELECT id FROM sessions WHERE sealed_nonce IS NOT NULL AND rotated_at <= now() - $1 * interval '1 s'
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""
_ATTEMPTS = f"""
DELETE FROM attempts WHERE key IN (
    SELECT key FROM attempts WHERE greatest(window_ends, allowed_at) <= now()
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""
_KNOWN_NETWORKS = f"""
DELETE FROM known_networks WHERE key IN (
    SELECT key FROM known_networks WHERE last_used_at <= now() - $1 * interval '1 s'
    LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
"""


class SweepStore:
    """Expired rows in Postgres.

    Args:
        database: The database.
        policy: Says how long a replaced refresh token counts.
        known_seconds: How long a network stays known to an account.
    """

    def __init__(self, database: Database, policy: SessionPolicy, known_seconds: float) -> None:
        self._database = database
        self._statements: tuple[tuple[str, tuple[float, ...]], ...] = (
            (_EXPIRED_SESSIONS, ()),
            (_GRACE_SECRETS, (policy.grace_seconds,)),
            (_SEALS, (policy.key_seconds,)),
            (_ATTEMPTS, ()),
            (_KNOWN_NETWORKS, (known_seconds,)),
        )

    async def sweep(self) -> bool:
        """Delete one batch of each kind, and return whether there may be more.

        Returns False if another replica is already sweeping.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return False
            answers = [await connection.execute(statement, *arguments) for statement, arguments in self._statements]
        return any(int(answer.rpartition(" ")[2]) == BATCH for answer in answers)
