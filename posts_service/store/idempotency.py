"""Rows of the idempotency_keys table: which post each key created, and what it takes to repeat the first answer."""

from dataclasses import dataclass
from datetime import datetime

from posts_service.model import Author, NewPost, Post
from posts_service.store.allowances import TAKEN, Exhausted, Writes
from posts_service.store.posts import COLUMNS, read
from shared.database.pool import Database

KEPT = "interval '24 hours'"
"""How long a key is remembered."""

# Key and post are stored together or not at all. The key's row needs the post's id, and a statement can't change a row
# that it has just inserted, so the id is drawn first. A competitor of the same author waits in `taken`, and then claims
# nothing. No row at all means that nothing was taken.
_ADD_POST = f"""
WITH {TAKEN}, claimed AS (
    INSERT INTO idempotency_keys AS known (author_id, key, request_hash, post_id, author_name)
    SELECT $1, $8, $9, nextval(pg_get_serial_sequence('posts', 'id')), $4 FROM taken
    ON CONFLICT (author_id, key) DO UPDATE
       SET request_hash = excluded.request_hash, post_id = excluded.post_id, author_name = excluded.author_name,
           created_at = now()
     WHERE known.created_at <= now() - {KEPT}
    RETURNING post_id
), added AS (
    INSERT INTO posts (id, author_id, author_name, title, body, tags) OVERRIDING SYSTEM VALUE
    SELECT post_id, $1, $4, $5, $6, $7 FROM claimed
    RETURNING {COLUMNS}
)
SELECT added.* FROM taken LEFT JOIN added ON true
"""


@dataclass(frozen=True, slots=True)
class Used:
    """An idempotency key that was used, and the parts of the first answer that the request doesn't repeat."""

    request_hash: bytes
    post_id: int
    author_name: str
    created_at: datetime


class IdempotencyStore:
    """Idempotency keys in Postgres.

    Args:
        database: The database.
        writes: Runs what writes.
    """

    def __init__(self, database: Database, writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def add_post(self, author: Author, new: NewPost, key: str, request_hash: bytes) -> Post | Used | Exhausted:
        """Store a post under a key, unless the author used the key in the last 24 hours, or has reached the limit."""
        values = author.name, new.title, new.body, new.tags, key, request_hash
        while True:
            row = await self._writes.run(_ADD_POST, author.id, *values, characters=len(new.body))
            if isinstance(row, Exhausted):
                return row
            if row["id"] is not None:
                return read(row)
            async with self._database.connection() as connection:
                used = await connection.fetchrow(
                    "SELECT request_hash, post_id, author_name, created_at FROM idempotency_keys"
                    f" WHERE author_id = $1 AND key = $2 AND created_at > now() - {KEPT}",
                    author.id,
                    key,
                )
            if used is not None:  # otherwise it has just expired, and is free again
                return Used(used["request_hash"], used["post_id"], used["author_name"], used["created_at"])
