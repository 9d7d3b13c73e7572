"""Rows of the idempotency_keys table: which post each key created, and what it takes to repeat the first answer."""

from dataclasses import dataclass
from datetime import datetime

from posts_service.model import Author, NewPost, Post
from posts_service.store.posts import COLUMNS, read
from shared.database.pool import Database

KEPT = "interval '24 hours'"
"""How long a key is remembered."""

BATCH = 500
"""Rows deleted per sweep, so that nobody waits long for a lock."""

# any number will do; the replica that holds the lock sweeps, and the others skip the round
_SWEEP_LOCK = 0x73776570

# Key and post are stored together or not at all. The key's row needs the post's id, and a statement can't change a row
# that it has just inserted, so the id is drawn first. A competitor waits on the primary key, and then gets no row.
_ADD_POST = f"""
WITH claimed AS (
    INSERT INTO idempotency_keys AS known (author_id, key, request_hash, post_id, author_name)
    VALUES ($1, $6, $7, nextval(pg_get_serial_sequence('posts', 'id')), $2)
    ON CONFLICT (author_id, key) DO UPDATE
       SET request_hash = excluded.request_hash, post_id = excluded.post_id, author_name = excluded.author_name,
           created_at = now()
     WHERE known.created_at <= now() - {KEPT}
    RETURNING post_id
)
INSERT INTO posts (id, author_id, author_name, title, body, tags) OVERRIDING SYSTEM VALUE
SELECT post_id, $1, $2, $3, $4, $5 FROM claimed
RETURNING {COLUMNS}
"""


@dataclass(frozen=True, slots=True)
class Used:
    """An idempotency key that was used, and the parts of the first answer that the request doesn't repeat."""

    request_hash: bytes
    post_id: int
    author_name: str
    created_at: datetime


class IdempotencyStore:
    """Idempotency keys in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_post(self, author: Author, new: NewPost, key: str, request_hash: bytes) -> Post | Used:
        """Store a post under a key, unless the author used the key in the last 24 hours."""
        while True:
            async with self._database.connection() as connection:
                row = await connection.fetchrow(
                    _ADD_POST, author.id, author.name, new.title, new.body, new.tags, key, request_hash
                )
                if row is not None:
                    return read(row)
                used = await connection.fetchrow(
                    "SELECT request_hash, post_id, author_name, created_at FROM idempotency_keys"
                    f" WHERE author_id = $1 AND key = $2 AND created_at > now() - {KEPT}",
                    author.id,
                    key,
                )
            if used is not None:  # otherwise it has just expired, and is free again
                return Used(used["request_hash"], used["post_id"], used["author_name"], used["created_at"])

    async def sweep(self) -> bool:
        """Delete a batch of expired keys, and return whether there may be more.

        Returns False if another replica is already sweeping.
        """
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _SWEEP_LOCK):
                return False
            done = await connection.execute(
                "DELETE FROM idempotency_keys WHERE ctid IN (SELECT ctid FROM idempotency_keys"
                f" WHERE created_at <= now() - {KEPT} LIMIT {BATCH} FOR UPDATE SKIP LOCKED)"
            )
        return int(done.rpartition(" ")[2]) == BATCH
