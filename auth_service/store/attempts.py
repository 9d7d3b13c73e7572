"""Rows of the attempts and known_networks tables, by the database's clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from auth_service.model import Limit
from shared.database.pool import Database

# $1 the keys, $2 the known network's key, $3 seconds that a network stays known
_STANDING = """
SELECT EXISTS (
           SELECT FROM known_networks WHERE key = $2 AND last_used_at > now() - $3 * interval '1 s'
       ) AS is_known,
       array_agg(kind) AS kinds,
       array_agg(extract(epoch FROM allowed_at - now())::float8) AS waits
  FROM attempts
 WHERE key = ANY ($1) AND allowed_at > now()
"""

# $1 the keys and $2 their kinds, $3 to $5 the limit of each kind, $6 seconds of a window. Keys that must wait are not
# counted, so that asking doesn't prolong the wait. No wait is -infinity and not now(), because now() is when the
# transaction began: it may be later than the now() of a transaction that has waited for this row.
_COUNT = """
WITH limits AS (
    SELECT * FROM unnest($2::text[], $3::int[], $4::float8[], $5::float8[])
               AS given (kind, failures, first_wait, longest_wait)
)
INSERT INTO attempts AS known (key, kind, failures, window_ends, allowed_at)
SELECT key, kind, 1, now() + $6 * interval '1 s', '-infinity'
  FROM unnest($1::bytea[], $2::text[]) AS given (key, kind)
 ORDER BY key -- everyone locks rows in the same order, so no two wait for each other
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN known.window_ends <= now() THEN 1 ELSE known.failures + 1 END,
    window_ends = CASE WHEN known.window_ends <= now() THEN excluded.window_ends ELSE known.window_ends END,
    allowed_at = (
        SELECT CASE
                   WHEN known.window_ends <= now() OR known.failures + 1 < limits.failures THEN '-infinity'
                   WHEN first_wait IS NULL THEN known.window_ends
                   ELSE now() + interval '1 s' * least(
                       longest_wait, first_wait * 2 ^ least(known.failures + 1 - limits.failures, 32)
                   )
               END
          FROM limits
         WHERE limits.kind = known.kind
    )
 WHERE known.allowed_at <= now()
RETURNING key
"""


# rows are left for the sweep to delete: one deleted here and inserted again could be locked out of order
_UNDO = """
UPDATE attempts SET
    failures = CASE WHEN kind = 'pair' OR failures = 0 THEN 0 ELSE failures - 1 END,
    window_ends = CASE WHEN kind = 'pair' OR failures <= 1 THEN '-infinity' ELSE window_ends END,
    allowed_at = '-infinity'
  FROM (SELECT key FROM attempts WHERE key = ANY ($1) ORDER BY key FOR UPDATE) AS locked
 WHERE attempts.key = locked.key
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known before an attempt.

    Args:
        is_known: Whether the account has signed in from this network before.
        waits: Seconds left to wait, for each kind of limit that is waiting.
    """

    is_known: bool
    waits: Mapping[str, float]


class _Waiting(Exception):
    """Rolls back a count, because one of its keys must wait."""


class AttemptStore:
    """Attempts in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, keys: Sequence[bytes], known: bytes, known_seconds: float) -> Standing:
        """Look up the waits for these keys, and whether a network is known; counts nothing and takes no locks."""
        async with self._database.connection() as connection:
            [row] = await connection.fetch(_STANDING, keys, known, known_seconds)
        return Standing(row["is_known"], dict(zip(row["kinds"] or (), row["waits"] or (), strict=True)))

    async def count(self, limits: Mapping[bytes, Limit], window_seconds: float) -> bool:
        """Count a failure for every key, or for none if one of them must wait by now; returns whether it counted."""
        given = list(limits.values())
        try:
            async with self._database.connection() as connection, connection.transaction():
                rows = await connection.fetch(
                    _COUNT,
                    list(limits),
                    [limit.kind for limit in given],
                    [limit.failures for limit in given],
                    [limit.first_wait for limit in given],
                    [limit.longest_wait for limit in given],
                    window_seconds,
                )
                if len(rows) < len(limits):
                    raise _Waiting
        except _Waiting:
            return False
        return True

    async def succeeded(self, counted: Collection[bytes], known: bytes) -> None:
        """Undo a failure: all failures of this network on this account, and one of each other count."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_UNDO, counted)
            await connection.execute(
                "INSERT INTO known_networks AS k (key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET last_used_at = now()"
                " WHERE k.last_used_at < now() - interval '1 day'",
                known,
            )
