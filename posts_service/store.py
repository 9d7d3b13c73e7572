"""All SQL of the posts service."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from posts_service.errors import NotTheAuthor
from posts_service.model import Author, Post
from shared.database import Database
from shared.errors import NotFound

_COLUMNS = "id, author_id, author_name, title, body, tags, version, created_at, updated_at"


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

    async def page(self, before: int | None, limit: int) -> list[Post]:
        """Return up to `limit` posts with ids below `before`, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM posts WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
                before,
                limit,
            )
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

    async def add(self, author_id: UUID, author_name: str, title: str, body: str, tags: Sequence[str]) -> Post:
        """Write a post."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "INSERT INTO posts (author_id, author_name, title, body, tags) VALUES ($1, $2, $3, $4, $5)"
                f" RETURNING {_COLUMNS}",
                author_id,
                author_name,
                title,
                body,
                tags,
            )
        assert row is not None, "an INSERT without a condition returns its row"
        return _post(row)

    async def change(
        self, post_id: int, author: Author, title: str | None, body: str | None, tags: Sequence[str] | None
    ) -> Post:
        """Change what is given of a post, and leave what is None.

        Raises:
            NotFound: there is none with this id.
            NotTheAuthor: it is somebody else's, and `author` does not moderate.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "WITH wanted AS (SELECT id AS wanted_id, author_id AS owner FROM posts WHERE id = $1 FOR UPDATE),"
                " changed AS (UPDATE posts SET title = coalesce($4, title), body = coalesce($5, body),"
                "  tags = coalesce($6, tags), version = version + 1, updated_at = now()"
                f"  FROM wanted WHERE id = wanted_id AND (owner = $2 OR $3) RETURNING {_COLUMNS})"
                " SELECT * FROM wanted LEFT JOIN changed ON id = wanted_id",
                post_id,
                author.id,
                author.moderates,
                title,
                body,
                tags,
            )
        return _post(_allowed(row, post_id))

    async def remove(self, post_id: int, author: Author) -> None:
        """Delete a post.

        Raises:
            NotFound: there is none with this id.
            NotTheAuthor: it is somebody else's, and `author` does not moderate.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "WITH wanted AS (SELECT id AS wanted_id, author_id AS owner FROM posts WHERE id = $1 FOR UPDATE),"
                " removed AS (DELETE FROM posts USING wanted WHERE id = wanted_id AND (owner = $2 OR $3) RETURNING id)"
                " SELECT * FROM wanted LEFT JOIN removed ON id = wanted_id",
                post_id,
                author.id,
                author.moderates,
            )
        _allowed(row, post_id)


def _allowed(row: asyncpg.Record | None, post_id: int) -> asyncpg.Record:
    if row is None:
        raise _not_found(post_id)
    if row["id"] is None:
        raise NotTheAuthor(f"Post {post_id} belongs to somebody else")
    return row


def _not_found(post_id: int) -> NotFound:
    return NotFound(f"There is no post {post_id}")
