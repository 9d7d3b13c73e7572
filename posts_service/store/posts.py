"""Rows of the posts table. The statement that changes a post also checks who may, so nothing can happen in between."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from posts_service.model import Author, Edit, Filter, NewPost, Post
from posts_service.store import search
from shared.database.pool import Database

COLUMNS = "id, author_id, author_name, title, body, tags, version, created_at, updated_at"
"""The columns that make a Post."""

# $1 id, $2 who asks, $3 whether they moderate, $4 the versions that may be changed (NULL: any), $5 to $7 the changes
# (NULL: unchanged). FOR UPDATE makes a competitor wait, and then see the row as the winner left it; so what is changed
# is computed from `found`, never from posts itself, which this statement sees as it was before the wait.
_CHANGE = """
WITH found AS (
    SELECT id, author_id, version, title, body, tags FROM posts WHERE id = $1 FOR UPDATE
), allowed AS (
    SELECT * FROM found WHERE (author_id = $2 OR $3) AND ($4::int[] IS NULL OR version = ANY ($4))
), edited AS (
    SELECT id, coalesce($5, title) AS title, coalesce($6, body) AS body, coalesce($7, tags) AS tags,
           (coalesce($5, title), coalesce($6, body), coalesce($7, tags)) IS DISTINCT FROM (title, body, tags) AS differs
      FROM allowed
), changed AS (
    UPDATE posts
       SET title = edited.title, body = edited.body, tags = edited.tags,
           version = CASE WHEN differs THEN posts.version + 1 ELSE posts.version END,
           updated_at = CASE WHEN differs THEN now() ELSE posts.updated_at END
      FROM edited
     WHERE posts.id = edited.id
    RETURNING posts.id, author_id, author_name, posts.title, posts.body, posts.tags, version, created_at, updated_at
)
SELECT found.author_id AS owner, found.version AS present, changed.*
  FROM found LEFT JOIN changed ON changed.id = found.id
"""

_REMOVE = f"""
WITH found AS (
    SELECT id, author_id, version FROM posts WHERE id = $1 FOR UPDATE
), allowed AS (
    SELECT id FROM found WHERE (author_id = $2 OR $3) AND ($4::int[] IS NULL OR version = ANY ($4))
), removed AS (
    DELETE FROM posts WHERE id IN (SELECT id FROM allowed) RETURNING {COLUMNS}
)
SELECT found.author_id AS owner, found.version AS present, removed.*
  FROM found LEFT JOIN removed ON removed.id = found.id
"""


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


class PostStore:
    """Posts in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: Filter, before: int, limit: int) -> list[Post]:
        """Return up to `limit` matching posts with ids below `before`, newest first."""
        statement, arguments = search.statement(COLUMNS, wanted, before, limit)
        async with self._database.connection() as connection:
            return [read(row) for row in await connection.fetch(statement, *arguments)]

    async def find(self, post_id: int) -> Post | None:
        """Return a post, or None."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM posts WHERE id = $1", post_id)
        return None if row is None else read(row)

    async def add(self, author: Author, new: NewPost) -> Post:
        """Store a post."""
        async with self._database.connection() as connection:
            [row] = await connection.fetch(
                "INSERT INTO posts (author_id, author_name, title, body, tags) VALUES ($1, $2, $3, $4, $5)"
                f" RETURNING {COLUMNS}",
                author.id,
                author.name,
                new.title,
                new.body,
                new.tags,
            )
        return read(row)

    async def change(self, post_id: int, by: Author, edit: Edit, versions: Collection[int] | None) -> Found | None:
        """Change a post if `by` may and its version is one of `versions`; the version increases if anything differs.

        Returns:
            What was found and, if the conditions held, the changed post; None if there is no such post.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _CHANGE, post_id, by.id, by.moderates, _list(versions), edit.title, edit.body, edit.tags
            )
        return _found(row)

    async def remove(self, post_id: int, by: Author, versions: Collection[int] | None) -> Found | None:
        """Delete a post under the same conditions as `change`, and return the same facts."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_REMOVE, post_id, by.id, by.moderates, _list(versions))
        return _found(row)

    async def remove_all(self, author_id: UUID) -> int:
        """Delete every post of an author, and return how many there were."""
        async with self._database.connection() as connection:
            done = await connection.execute("DELETE FROM posts WHERE author_id = $1", author_id)
        return int(done.rpartition(" ")[2])


def _list(versions: Collection[int] | None) -> list[int] | None:
    return None if versions is None else list(versions)


def _found(row: asyncpg.Record | None) -> Found | None:
    if row is None:
        return None
    return Found(row["owner"], row["present"], None if row["id"] is None else read(row))
