"""Rows of the write_allowances table: how much of its limit of writes each user has used, by the database's clock.

The limit is a bucket that holds `burst` writes and regains `per_second`. It is stored as the time at which it is full
again. Taking from it is part of the statement that writes, so a write costs no further round trip.
"""

from dataclasses import dataclass
from uuid import UUID

from posts_service.model import WriteLimit
from shared.database.pool import Connection

# $1 the user, $2 seconds until one write is regained, $3 seconds until all are. Everything that such a statement locks
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


def arguments(user_id: UUID, limit: WriteLimit) -> tuple[UUID, float, float]:
    """Return $1 to $3 of TAKEN."""
    each = 1 / limit.per_second
    return user_id, each, each * limit.burst


async def exhausted(connection: Connection, user_id: UUID, limit: WriteLimit) -> Exhausted:
    """Return how long a user must wait whose write was not accepted."""
    return Exhausted(max(0.0, await connection.fetchval(_WAIT, *arguments(user_id, limit)) or 0.0))
