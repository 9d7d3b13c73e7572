"""Rows of the attempts and known_networks tables, by the database's clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from auth_service.model import Event, Limit
from auth_service.store.audit import record
from shared.database.pool import Database

# $1 the keys, $2 the known network's key, $3 the account's, $4 seconds that a network stays known; a log-in to an
# earlier account with the same address doesn't count. Before Postgres 17, infinity can't be subtracted from, but its
# epoch can
_STANDING = """
SELECT EXISTS (
           SELECT FROM known_networks JOIN users ON email_key = $3
            WHERE key = $2 AND last_used_at > now() - $4 * interval '1 s'
              AND last_used_at >= greatest(users.created_at, networks_forgotten_at)
       ) AS is_known,
       array_agg(key) AS keys,
       array_agg((extract(epoch FROM allowed_at) - extract(epoch FROM now()))::float8) AS waits
  FROM attempts
 WHERE key = ANY ($1) AND allowed_at > now()
"""

# $1 the keys, $2 their kinds, $3 to $7 the limit of each. Keys that must wait are not counted, so that asking doesn't
# prolong the wait. No wait is -infinity and not now(), because now() is when the transaction began: it may be later
# than the now() of a transaction that has waited for this row.
_COUNT = """
WITH limits AS (
    SELECT * FROM unnest($1::bytea[], $3::int[], $4::float8[], $5::float8[], $6::float8[], $7::bool[])
               AS given (key, failures, seconds, first_wait, longest_wait, in_a_row)
)
INSERT INTO attempts AS known (key, kind, failures, window_ends, allowed_at)
SELECT key, kind, 1, now() + seconds * interval '1 s', '-infinity'
  FROM unnest($1::bytea[], $2::text[]) AS given (key, kind) JOIN limits USING (key)
 ORDER BY key -- everyone locks rows in the same order, so no two wait for each other
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN known.window_ends <= now() THEN 1 ELSE known.failures + 1 END,
    (window_ends, allowed_at) = (
        SELECT CASE WHEN known.window_ends <= now() OR in_a_row THEN excluded.window_ends ELSE known.window_ends END,
               CASE
                   WHEN known.window_ends <= now() OR known.failures + 1 < limits.failures THEN '-infinity'
                   WHEN in_a_row THEN 'infinity'
                   WHEN first_wait IS NULL THEN known.window_ends
                   ELSE now() + interval '1 s' * least(
                       longest_wait, first_wait * 2 ^ least(known.failures + 1 - limits.failures, 32)
                   )
               END
          FROM limits
         WHERE limits.key = known.key
    )
 WHERE known.allowed_at <= now()
RETURNING key, failures
"""

# $1 the keys, $2 whether each is cleared. Rows are left for the sweep to delete: one deleted here and inserted again
# could be locked out of order
_UNDO = """
UPDATE attempts SET
    failures = CASE WHEN cleared OR failures = 0 THEN 0 ELSE failures - 1 END,
    window_ends = CASE WHEN cleared OR failures <= 1 THEN '-infinity' ELSE window_ends END,
    allowed_at = '-infinity'
  FROM (
           SELECT key, cleared FROM attempts JOIN unnest($1::bytea[], $2::bool[]) AS given (key, cleared) USING (key)
            ORDER BY key FOR UPDATE OF attempts
       ) AS locked
 WHERE attempts.key = locked.key
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known before an attempt.

    Args:
        is_known: Whether the account has signed in from this network before.
        waits: Seconds left to wait, for each key that must; infinite if the wait has no end.
    """

    is_known: bool
    waits: Mapping[bytes, float]


class _Waiting(Exception):
    """Rolls back a count, because one of its keys must wait."""


class AttemptStore:
    """Attempts in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(
        self, keys: Sequence[bytes], known: bytes, email_key: str | None, known_seconds: float
    ) -> Standing:
        """Look up the waits for these keys, and whether a network is known; counts nothing and takes no locks."""
        async with self._database.connection() as connection:
            [row] = await connection.fetch(_STANDING, keys, known, email_key, known_seconds)
        return Standing(row["is_known"], dict(zip(row["keys"] or (), row["waits"] or (), strict=True)))

    async def count(self, limits: Mapping[bytes, Limit], email_key: str | None, address: str) -> bool:
        """Count a failure for every key, or for none if one of them must wait by now; returns whether it counted.

        Args:
            limits: The keys and their limits. A limit's event is recorded in the same transaction when it is reached.
            email_key: The account that the event is about; it need not exist.
            address: Where the client is.
        """
        given = list(limits.values())
        try:
            async with self._database.connection() as connection, connection.transaction():
                rows = await connection.fetch(
                    _COUNT,
                    list(limits),
                    [limit.kind for limit in given],
                    [limit.failures for limit in given],
                    [limit.window for limit in given],
                    [limit.first_wait for limit in given],
                    [limit.longest_wait for limit in given],
                    [limit.in_a_row for limit in given],
                )
                if len(rows) < len(limits):
                    raise _Waiting
                for row in rows:
                    limit = limits[row["key"]]
                    if limit.event is not None and row["failures"] == limit.failures:
                        user_id = await connection.fetchval("SELECT id FROM users WHERE email_key = $1", email_key)
                        await record(connection, Event(limit.event, user_id, address=address))
        except _Waiting:
            return False
        return True

    async def succeeded(self, limits: Mapping[bytes, Limit], known: bytes, user_id: UUID) -> None:
        """Undo a failure as each limit says, and remember a known network, unless the user has been deleted."""
        undone = {
            key: limit.after_success == "cleared" for key, limit in limits.items() if limit.after_success != "kept"
        }
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_UNDO, list(undone), list(undone.values()))
            await connection.execute(
                "INSERT INTO known_networks (key) SELECT $1 FROM users WHERE id = $2"
                " ON CONFLICT (key) DO UPDATE SET last_used_at = now()",
                known,
                user_id,
            )

    async def forget(self, keys: Collection[bytes]) -> None:
        """Clear these keys."""
        async with self._database.connection() as connection:
            await connection.execute(_UNDO, list(keys), [True] * len(keys))
