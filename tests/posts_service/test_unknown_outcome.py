"""Writes during which the database goes away: it may have stored them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.posts_service.board import Board


@contextlib.asynccontextmanager
async def lost_connection(board: Board) -> AsyncIterator[None]:
    """Let statements on posts wait, and end the connection of the first one that does."""
    async with board.database() as holder, board.database() as watcher, holder.transaction():
        await holder.execute("LOCK TABLE posts")
        ending = asyncio.create_task(_end_one(watcher))
        yield
        await ending


async def _end_one(watcher: asyncpg.Connection) -> None:
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
    )
    async with asyncio.timeout(30):
        while not await watcher.fetchval(end):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("method", "headers", "named"),
    [
        ("POST", {"Idempotency-Key": "once"}, "Idempotency-Key"),
        ("PATCH", {"If-Match": '"1"'}, "If-Match"),
        ("DELETE", {"If-Match": '"1"'}, "If-Match"),
    ],
)
async def test_it_is_said_and_can_be_repeated(board: Board, method: str, headers: dict[str, str], named: str) -> None:
    """503 says that the write may have been stored and names the header, with which a repetition then succeeds."""
    ada = board.person()
    path = "" if method == "POST" else f"/{(await board.write(ada))['id']}"
    body: Any = None if method == "DELETE" else {"title": "Once", "body": "Some text"}
    async with lost_connection(board):
        reply = await board.call(method, ada, path, body, headers=headers)
    assert (reply.status, reply.code) == (503, "database_unavailable")
    assert reply.headers["Retry-After"] == "1"
    assert "may have taken effect" in reply.body["hint"]
    assert f"the same {named}" in reply.body["hint"]
    assert (await board.call(method, ada, path, body, headers=headers)).status < 300


async def test_a_read_has_no_such_hint(board: Board) -> None:
    """503 on a read has no hint: it can be repeated without a thought."""
    async with lost_connection(board):
        reply = await board.call("GET", board.person())
    assert (reply.status, reply.code) == (503, "database_unavailable")
    assert "hint" not in reply.body
