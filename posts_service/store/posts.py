"""Rows of the posts table. The statement that changes a post also checks who may, so nothing can happen in between."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from posts_service.model import Author, Edit, Filter, NewPost, PageSize, Post
from posts_service.store import search
from posts_service.store.allowances import TAKEN, Exhausted, Writes
from shared.database.pool import Database

COLUMNS = "id, author_id, author_name, title, body, tags, version, created_at, updated_at"
"""The columns that make a Post."""

_ADD = f"""
WITH {TAKEN}, added AS (
    INSERT INTO posts (author_id, author_name, title, body, tags)
    SELECT $1, $4, $5, $6, $7 FROM taken
    RETURNING {COLUMNS}
)
SELECT added.* FROM taken LEFT JOIN added ON true
"""

# $1 to $3 see TAKEN, $4 id, $5 whether the user moderates, $6 the versions that may be changed (NULL: any), $7 to $9
# the changes (NULL: unchanged). No row means that nothing was taken. FOR UPDATE makes a competitor wait, and then see
# the row as the winner left it; so what is changed is computed from `found`, never from posts itself, which this
# statement sees as it was before the wait. If nothing differs, nothing is written: that would index the text again.
_CHANGE = f"""
WITH {TAKEN}, found AS (
    SELECT {COLUMNS} FROM posts WHERE id = $4 AND EXISTS (SELECT FROM taken) FOR UPDATE
), allowed AS (
    SELECT * FROM found WHERE (author_id = $1 OR $5) AND ($6::int[] IS NULL OR version = ANY ($6))
), edited AS (
    SELECT id, coalesce($7, title) AS title, coalesce($8, body) AS body, coalesce($9, tags) AS tags,
           (coalesce($7, title), coalesce($8, body), coalesce($9, tags)) IS DISTINCT FROM (title, body, tags) AS differs
      FROM allowed
), changed AS (
    UPDATE posts
       SET title = edited.title, body = edited.body, tags = edited.tags, version = posts.version + 1, updated_at = now()
      FROM edited
     WHERE posts.id = edited.id AND differs
    RETURNING posts.id, author_id, author_name, posts.title, posts.body, posts.tags, version, created_at, updated_at
), result AS (
    SELECT * FROM changed UNION ALL SELECT allowed.* FROM allowed JOIN edited USING (id) WHERE NOT differs
)
SELECT found.author_id AS owner, found.version AS present, result.*
  FROM taken LEFT JOIN found ON true LEFT JOIN result ON result.id = found.id
"""

_REMOVE = f"""
WITH {TAKEN}, found AS (
    SELECT id, author_id, version FROM posts WHERE id = $4 AND EXISTS (SELECT FROM taken) FOR UPDATE
), allowed AS (
    SELECT id FROM found WHERE (author_id = $1 OR $5) AND ($6::int[] IS NULL OR version = ANY ($6))
), removed AS (
    DELETE FROM posts WHERE id IN (SELECT id FROM allowed) RETURNING {COLUMNS}
)
SELECT found.author_id AS owner, found.version AS present, removed.*
  FROM taken LEFT JOIN found ON true LEFT JOIN removed ON removed.id = found.id
"""

_REMOVE_ALL = f"""
WITH {TAKEN}, removed AS (
    DELETE FROM posts WHERE author_id = $1 AND EXISTS (SELECT FROM taken) RETURNING id
)
SELECT (SELECT count(*) FROM removed) FROM taken
"""

PAGE_SHARE = 4
"""Pages may use one connection in this many: hundreds of large ones must not make a single post wait."""

PAGE_TURN_SECONDS = 5.0
"""How long a page waits for one of these connections."""

SEARCH_SHARE = 8
"""Searches may use one connection in this many: they take long, and reading and writing must go on."""

SEARCH_TURN_SECONDS = 1.0
"""How long a search waits for one of these connections."""


@dataclass(frozen=True, slots=True)
class Found:
    """The post that a change was meant for.

    Args:
        author_id: Its author.
        version: Its version before the change.
        post: The post as changed, or as it was when it was deleted; None if it was left alone.
    """

    author_id: UUID
    version: int
    post: Post | None


def read(row: asyncpg.Record) -> Post:
    """Make a Post from a row with COLUMNS."""
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


@dataclass(frozen=True, slots=True)
class Listed:
    """Some posts, newest first, and whether more of them follow."""

    posts: list[Post]
    more: bool


class PostStore:
    """Posts in Postgres.

    Args:
        database: The database.
        writes: Runs what writes.
    """

    def __init__(self, database: Database, writes: Writes) -> None:
        self._database = database
        self._writes = writes
        self._pages = database.share(PAGE_SHARE, PAGE_TURN_SECONDS, "page")
        self._searches = database.share(SEARCH_SHARE, SEARCH_TURN_SECONDS, "search")

    async def page(self, wanted: Filter, before: int, size: PageSize, seconds: float) -> Listed | None:
        """Return matching posts with ids below `before`, newest first: as many as fit on a page, but at least one.

        Returns:
            The posts; None if it is a search, by tags or words, that was cancelled because it took `seconds`.
        """
        statement, values = search.statement(COLUMNS, wanted, before, size)
        if not search.is_search(wanted):
            async with self._pages.connection() as connection:
                return _listed(await connection.fetch(statement, *values))
        async with self._searches.connection() as connection:
            try:
                return _listed(await connection.fetch(statement, *values, timeout=seconds))
            except TimeoutError:  # asyncpg has told Postgres to cancel it; the connection is lent again once it has
                return None

    async def find(self, post_id: int) -> Post | None:
        """Return a post, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM posts WHERE id = $1", post_id)
        return None if row is None else read(row)

    async def add(self, author: Author, new: NewPost) -> Post | Exhausted:
        """Store a post, unless the author has reached the limit."""
        values = author.name, new.title, new.body, new.tags
        row = await self._writes.run(_ADD, author.id, *values, characters=len(new.body))
        return row if isinstance(row, Exhausted) else read(row)

    async def change(
        self, post_id: int, by: Author, edit: Edit, versions: Collection[int] | None
    ) -> Found | Exhausted | None:
        """Change a post if `by` may and its version is one of `versions`; the version increases if anything differs.

        Returns:
            What was found and, if the conditions held, the changed post; None if there is no such post.
        """
        values = post_id, by.moderates, _list(versions), edit.title, edit.body, edit.tags
        return _found(await self._writes.run(_CHANGE, by.id, *values, characters=len(edit.body or "")))

    async def remove(self, post_id: int, by: Author, versions: Collection[int] | None) -> Found | Exhausted | None:
        """Delete a post under the same conditions as `change`, and return the same facts."""
        return _found(await self._writes.run(_REMOVE, by.id, post_id, by.moderates, _list(versions)))

    async def remove_all(self, author_id: UUID) -> int | Exhausted:
        """Delete every post of an author who has not reached the limit, and return how many there were."""
        row = await self._writes.run(_REMOVE_ALL, author_id)
        return row if isinstance(row, Exhausted) else int(row[0])


def _list(versions: Collection[int] | None) -> list[int] | None:
    return None if versions is None else list(versions)


def _listed(rows: Sequence[asyncpg.Record]) -> Listed:
    posts = [read(row) for row in rows if row["fits"]]
    return Listed(posts, more=len(rows) > len(posts))


def _found(row: asyncpg.Record | Exhausted) -> Found | Exhausted | None:
    if isinstance(row, Exhausted):
        return row
    if row["owner"] is None:
        return None
    return Found(row["owner"], row["present"], None if row["id"] is None else read(row))
