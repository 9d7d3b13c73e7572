"""Rows of the attempts and known_networks tables: who may try again, and when, by the database's clock."""

from collections.abc import Collection, Mapping
from typing import Literal

from shared.database import Connection, Database

Kind = Literal["pair", "account", "network", "register"]

WINDOW = "interval '15 minutes'"

KNOWN = "interval '90 days'"
"""How long a network stays known at an account without a log-in."""

# whoever has to wait is told so here, without a lock and without a write
_LOOK = f"""
WITH network AS (
    SELECT EXISTS (SELECT FROM known_networks WHERE key = $2 AND last_used_at > now() - {KNOWN}) AS known
)
SELECT known, extract(epoch FROM max(allowed_at) - now())::float8 AS wait
  FROM network LEFT JOIN attempts ON key = ANY($1) AND allowed_at > now() AND NOT (known AND kind = 'account')
 GROUP BY known
"""

# after how many failures in the window one must wait, and for how long: a wait that doubles from 1 s to 60 s for who
# guesses at an account, the rest of the window for a network that guesses at many. -infinity, and not now(), is no
# wait: now() is when a transaction began, and may be later than that of one that had to wait for its turn at the row
_COUNT = f"""
INSERT INTO attempts AS a (key, kind, failures, window_ends, allowed_at)
SELECT key, kind, 1, now() + {WINDOW}, '-infinity'
  FROM unnest($1::bytea[], $2::text[]) AS given (key, kind)
 ORDER BY key -- whoever comes locks rows in the same order, so no two wait for each other
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN a.window_ends <= now() THEN 1 ELSE a.failures + 1 END,
    window_ends = CASE WHEN a.window_ends <= now() THEN now() + {WINDOW} ELSE a.window_ends END,
    allowed_at = CASE
        WHEN a.window_ends <= now() THEN '-infinity'
        WHEN a.kind = 'pair' AND a.failures >= 4 THEN now() + interval '1 s' * least(60, 2 ^ least(a.failures - 4, 6))
        WHEN a.kind = 'account' AND a.failures >= 19
            THEN now() + interval '1 s' * least(60, 2 ^ least(a.failures - 19, 6))
        WHEN a.kind IN ('network', 'register') AND a.failures >= 49 THEN a.window_ends
        ELSE '-infinity'
    END
 WHERE a.allowed_at <= now() -- who must wait is not counted: asking does not make the wait longer
RETURNING key
"""


# rows are left to the sweep: one that is deleted and made again could be locked out of order
_UNDO = """
UPDATE attempts AS a SET
    failures = CASE WHEN kind = 'pair' OR failures = 0 THEN 0 ELSE failures - 1 END,
    window_ends = CASE WHEN kind = 'pair' OR failures <= 1 THEN '-infinity' ELSE window_ends END,
    allowed_at = '-infinity'
  FROM (SELECT key FROM attempts WHERE key = ANY($1) ORDER BY key FOR UPDATE) AS locked
 WHERE a.key = locked.key
"""


class MustWait(Exception):
    """It is not yet time for the next try; nothing was counted. `seconds` is more than 0."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class _Overtaken(Exception):
    """Raised to roll back what was counted: another try was counted since the look."""


class AttemptStore:
    """Attempts in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, keys: Mapping[bytes, Kind], known: bytes | None = None) -> None:
        """Count nothing. Arguments and errors are those of `count`."""
        async with self._database.connection() as connection:
            await _look(connection, keys, known)

    async def count(self, keys: Mapping[bytes, Kind], known: bytes | None = None) -> Collection[bytes]:
        """Count a try as a failure, before it is known to be one.

        Args:
            keys: What it is counted by, each with its kind.
            known: Key of this network at this account. Where there was a success, what others do to the account
                does not matter: the kind 'account' is left out.

        Returns:
            What it was counted by.

        Raises:
            MustWait: not now.
        """
        async with self._database.connection() as connection:
            while True:
                wanted = await _look(connection, keys, known)
                try:
                    async with connection.transaction():
                        rows = await connection.fetch(_COUNT, list(wanted), list(wanted.values()))
                        if len(rows) < len(wanted):
                            raise _Overtaken
                except _Overtaken:
                    continue
                return list(wanted)

    async def succeeded(self, counted: Collection[bytes], known: bytes) -> None:
        """Undo what was counted for a try that was none: all of this network at this account, one of the others."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_UNDO, counted)
            await connection.execute(
                "INSERT INTO known_networks AS k (key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET last_used_at = now()"
                " WHERE k.last_used_at < now() - interval '1 day'",
                known,
            )


async def _look(connection: Connection, keys: Mapping[bytes, Kind], known: bytes | None) -> Mapping[bytes, Kind]:
    """Return those of the keys that count."""
    [found] = await connection.fetch(_LOOK, list(keys), known)
    if found["wait"] is not None:
        raise MustWait(found["wait"])
    return {key: kind for key, kind in keys.items() if kind != "account" or not found["known"]}
