"""Writing, within each user's limit. Rows of the write_allowances table say how much of it is used.

The limit is a bucket that holds `burst` writes and regains `per_second`, by the database's clock. It is stored as the
time at which it is full again. Taking from it is part of the statement that writes, so a write costs no further round
trip.
"""

from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg

from posts_service.model import WriteLimit
from shared.database.pool import Database
from shared.database.turns import Turns

CHARACTERS = 10_000
"""A longer text counts as several writes, one for each piece of this length: most of a write's cost is its index of
words."""

TURN_SECONDS = 0.5
"""A write that is expected to wait longer for the same user's other writes is refused at once."""

PATIENCE_SECONDS = 3.0
"""How long it waits if they take longer than expected."""

# $1 the user, $2 seconds until this write is regained, $3 seconds until all are. Everything that such a statement locks
# or changes must depend on `taken`: then all of a user's writes queue at this row, and none waits for another in turn.
TAKEN = """
taken AS (
    INSERT INTO write_allowances AS known (user_id, full_at)
    VALUES ($1, now() + $2 * interval '1 s')
    ON CONFLICT (user_id) DO UPDATE
       SET full_at = greatest(known.full_at, now()) + $2 * interval '1 s'
     WHERE greatest(known.full_at, now()) + $2 * interval '1 s' <= now() + $3 * interval '1 s'
    RETURNING user_id
)
"""
"""Start of a statement that writes; `taken` has a row if the user may write, and none otherwise."""

_WAIT = """
SELECT extract(epoch FROM full_at - now())::float8 + $2 - $3 FROM write_allowances WHERE user_id = $1
"""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing was written, because the user has used up the limit; the next write is accepted in `seconds`."""

    seconds: float


class Writes:
    """Runs statements that write, one at a time for each user.

    All of a user's writes queue at the user's row. If they did so with a connection in hand, those of one user could
    take all connections.

    Args:
        database: The database.
        limit: How often each user may write.
    """

    def __init__(self, database: Database, limit: WriteLimit) -> None:
        self._database = database
        self._limit = limit
        # a user is in here for as long as one of the user's writes is made or waits
        self._turns: WeakValueDictionary[UUID, Turns] = WeakValueDictionary()

    async def run(
        self, statement: str, user_id: UUID, *values: object, characters: int = 0
    ) -> asyncpg.Record | Exhausted:
        """Run a statement that starts with TAKEN; `values` are its arguments from $4 on.

        Args:
            statement: The statement.
            user_id: Who writes.
            values: More arguments.
            characters: The length of the text that is written.

        Raises:
            Busy: the user's other writes take too long.
        """
        each = 1 / self._limit.per_second
        pieces = min(1 + characters // CHARACTERS, self._limit.burst)
        allowance = user_id, each * pieces, each * self._limit.burst
        turns = self._turns.setdefault(
            user_id, Turns(1, TURN_SECONDS, "No turn for a write of yours", patience=PATIENCE_SECONDS)
        )
        began = await turns.take()
        try:
            async with self._database.connection() as connection:
                row = await connection.fetchrow(statement, *allowance, *values)
                if row is not None:
                    return row
                return Exhausted(max(0.0, await connection.fetchval(_WAIT, *allowance) or 0.0))
        finally:
            turns.give_back(began)
