"""All SQL of the posts service."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from posts_service.errors import NotTheAuthor, VersionMismatch
from posts_service.model import Author, Edit, Filter, Post
from shared.database import Database
from shared.errors import NotFound

KEPT = "interval '24 hours'"
"""How long an Idempotency-Key is remembered."""

BATCH = 500
"""Rows that one sweep takes, so that nobody waits long for a lock."""

NEAR = 10_000
"""Posts that a page with a filter walks through before it asks the index."""

# an arbitrary number: whoever holds the lock sweeps, the others have nothing to do
_SWEEP_LOCK = 0x73776570

_COLUMNS = "id, author_id, author_name, title, body, tags, version, created_at, updated_at"

# what is asked for is looked at first, and locked: a competitor waits, and then sees what the winner left
_WANTED = "SELECT id AS wanted_id, author_id AS owner, version AS present FROM posts WHERE id = $1 FOR UPDATE"
_ALLOWED = "id = wanted_id AND (owner = $2 OR $3) AND ($4::int[] IS NULL OR version = ANY($4))"

_CHANGE = f"""
WITH wanted AS ({_WANTED}), changed AS (
    UPDATE posts SET title = coalesce($5, title), body = coalesce($6, body), tags = coalesce($7, tags),
           version = CASE WHEN {{differs}} THEN version + 1 ELSE version END,
           updated_at = CASE WHEN {{differs}} THEN now() ELSE updated_at END
      FROM wanted WHERE {_ALLOWED} RETURNING {_COLUMNS}
)
SELECT * FROM wanted LEFT JOIN changed ON id = wanted_id
""".format(differs="(coalesce($5, title), coalesce($6, body), coalesce($7, tags)) IS DISTINCT FROM (title, body, tags)")

_REMOVE = f"""
WITH wanted AS ({_WANTED}), removed AS (
    DELETE FROM posts USING wanted WHERE {_ALLOWED} RETURNING id
)
SELECT * FROM wanted LEFT JOIN removed ON id = wanted_id
"""

# Key and post appear together or not at all. The id is drawn for the key, since a statement can't change a row that it
# has just inserted. A competitor waits on the primary key, and then gets no row
_ADD_ONCE = f"""
WITH claimed AS (
    INSERT INTO idempotency_keys AS known (author_id, key, request_hash, post_id, author_name)
    VALUES ($1, $6, $7, nextval(pg_get_serial_sequence('posts', 'id')), $2)
    ON CONFLICT (author_id, key) DO UPDATE SET request_hash = excluded.request_hash, post_id = excluded.post_id,
           author_name = excluded.author_name, created_at = now()
     WHERE known.created_at <= now() - {KEPT}
    RETURNING post_id
)
INSERT INTO posts (id, author_id, author_name, title, body, tags) OVERRIDING SYSTEM VALUE
SELECT post_id, $1, $2, $3, $4, $5 FROM claimed RETURNING {_COLUMNS}
"""

# Postgres can't know how rare a tag or a word is, and would walk through all posts for one that is nowhere. So a page
# is looked for among the posts next to the cursor, and only where these don't fill it in the index of tags or words:
# `id + 0` keeps it from another walk
_FILTERED = """
WITH near AS MATERIALIZED (
    SELECT {columns} FROM (SELECT * FROM posts WHERE {place} ORDER BY id DESC LIMIT {near}) AS walked
     WHERE {filters} ORDER BY id DESC LIMIT $2
), edge AS MATERIALIZED (
    SELECT id FROM posts WHERE {place} ORDER BY id DESC OFFSET {near} - 1 LIMIT 1
), far AS (
    SELECT {columns} FROM posts WHERE {place} AND id < (SELECT id FROM edge) AND {filters} ORDER BY id + 0 DESC LIMIT $2
)
SELECT * FROM near
UNION ALL
SELECT * FROM far WHERE (SELECT count(*) FROM near) < $2 AND (SELECT id FROM edge) IS NOT NULL
ORDER BY id DESC LIMIT $2
"""

# a sign or none, and a "phrase" or a term
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True)
class Used:
    """What is known of an Idempotency-Key that was used."""

    request_hash: bytes
    post_id: int
    author_name: str
    created_at: datetime


def _post(row: asyncpg.Record) -> Post:
    return Post(
        id=row["id"],
        author_id=row["author_id"],
        author_name=row["author_name"],
        title=row["title"],
        body=row["body"],
        tags=row["tags"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


class PostStore:
    """Posts in Postgres. Ownership is part of the statement that changes a post: there is no moment in between."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Filter, before: int, limit: int) -> list[Post]:
        """Return up to `limit` posts with ids below `before`, the newest first."""
        statement, arguments = page_statement(wanted, before, limit)
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *arguments)
        return [_post(row) for row in rows]

    async def find(self, post_id: int) -> Post:
        """Return a post.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM posts WHERE id = $1", post_id)
        if row is None:
            raise _not_found(post_id)
        return _post(row)

    async def add(self, author: Author, title: str, body: str, tags: list[str]) -> Post:
        """Write a post."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "INSERT INTO posts (author_id, author_name, title, body, tags) VALUES ($1, $2, $3, $4, $5)"
                f" RETURNING {_COLUMNS}",
                author.id,
                author.name,
                title,
                body,
                tags,
            )
        assert row is not None, "an INSERT without a condition returns its row"
        return _post(row)

    async def add_once(
        self, author: Author, title: str, body: str, tags: list[str], *, key: str, request_hash: bytes
    ) -> Post | Used:
        """Write a post under a key, or return what is known of the key if it was used in the last 24 hours."""
        while True:
            async with self._database.connection() as connection:
                row = await connection.fetchrow(_ADD_ONCE, author.id, author.name, title, body, tags, key, request_hash)
                if row is not None:
                    return _post(row)
                used = await connection.fetchrow(
                    "SELECT request_hash, post_id, author_name, created_at FROM idempotency_keys"
                    f" WHERE author_id = $1 AND key = $2 AND created_at > now() - {KEPT}",
                    author.id,
                    key,
                )
            if used is not None:  # else its time has just run out, so it is free again
                return Used(used["request_hash"], used["post_id"], used["author_name"], used["created_at"])

    async def change(self, post_id: int, author: Author, edit: Edit, versions: Collection[int] | None) -> Post:
        """Change a post. Its version counts up if anything is different then.

        Args:
            post_id: Which.
            author: Who wants it.
            edit: What is to change.
            versions: Those that may be changed; None: any.

        Raises:
            NotFound: there is none with this id.
            NotTheAuthor: it is somebody else's, and `author` does not moderate.
            VersionMismatch: it has another version by now.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _CHANGE, post_id, author.id, author.moderates, _list(versions), edit.title, edit.body, edit.tags
            )
        return _post(_allowed(row, post_id, author))

    async def remove(self, post_id: int, author: Author, versions: Collection[int] | None) -> None:
        """Delete a post.

        Raises:
            NotFound, NotTheAuthor, VersionMismatch: as `change`.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_REMOVE, post_id, author.id, author.moderates, _list(versions))
        _allowed(row, post_id, author)

    async def remove_all(self, author: Author) -> int:
        """Delete every post of an author, and return how many there were."""
        async with self._database.connection() as connection:
            done = await connection.execute("DELETE FROM posts WHERE author_id = $1", author.id)
        return int(done.rpartition(" ")[2])

    async def sweep(self) -> bool:
        """Forget a batch of keys whose time has run out; True if there may be more. Another replica at it: False."""
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _SWEEP_LOCK):
                return False
            done = await connection.execute(
                "DELETE FROM idempotency_keys WHERE ctid IN (SELECT ctid FROM idempotency_keys"
                f" WHERE created_at <= now() - {KEPT} LIMIT {BATCH} FOR UPDATE SKIP LOCKED)"
            )
        return int(done.rpartition(" ")[2]) == BATCH


def page_statement(wanted: Filter, before: int, limit: int) -> tuple[str, list[object]]:
    """The statement of a page and its arguments; each combination of filters has a text of its own."""
    arguments: list[object] = [before, limit]

    def condition(text: str, argument: object) -> Iterator[str]:
        if argument is not None:
            arguments.append(argument)
            yield text.format(len(arguments))

    place = " AND ".join(["id < $1", *condition("author_id = ${}", wanted.author_id)])
    filters = " AND ".join(
        [
            *condition("tags @> ${}::text[]", list(wanted.tags) or None),
            *condition("search @@ websearch_to_tsquery('simple', ${})", wanted.words and _searched(wanted.words)),
        ]
    )
    if filters:
        return _FILTERED.format(columns=_COLUMNS, place=place, filters=filters, near=NEAR), arguments
    return f"SELECT {_COLUMNS} FROM posts WHERE {place} ORDER BY id DESC LIMIT $2", arguments


def _searched(words: str) -> str:
    """The same for websearch_to_tsquery, with blanks for punctuation as the column has it.

    Several words of one term become a phrase. No two signs stand in a row: Postgres fails on 32 of them.
    """
    terms = []
    for sign, phrase, term in _TERM.findall(words):
        found = _PUNCTUATION.sub(" ", phrase or term).strip()
        if found:
            terms.append(found if term.lower() == "or" and not sign else f'{sign}"{found}"')
    return " ".join(terms)


def _list(versions: Collection[int] | None) -> list[int] | None:
    return None if versions is None else list(versions)


def _allowed(row: asyncpg.Record | None, post_id: int, author: Author) -> asyncpg.Record:
    if row is None:
        raise _not_found(post_id)
    if row["id"] is not None:
        return row
    if row["owner"] != author.id and not author.moderates:
        raise NotTheAuthor(f"Post {post_id} belongs to somebody else")
    raise VersionMismatch(
        f"Post {post_id} has version {row['present']} by now",
        hint="Read it again, and make the change on what is there now.",
        headers={"ETag": f'"{row["present"]}"'},
    )


def _not_found(post_id: int) -> NotFound:
    return NotFound(f"There is no post {post_id}")
