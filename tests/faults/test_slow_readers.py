"""Clients that ask for much and never read what they are sent."""

import asyncio
import socket
import statistics
import time
from contextlib import suppress

import pytest

from dev.service_process import Service
from tests.faults.load import read_answer
from tests.faults.report import Report
from tests.faults.stand import Stand, client, memory_mib, open_files, sign_up

CLIENTS = 500
PIPELINED = 8
PAGE_POSTS = 8
"""Enough of the longest posts that a page is full."""

DATABASE_CONNECTIONS = 10

IDLE_SECONDS = 5.0
FREED_SECONDS = 40.0
"""The limit for reading an answer, and some more."""


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("character", ["0", "\1"], ids=["ASCII", "escapes"])
async def test_clients_that_never_read_take_no_memory(stand: Stand, report: Report, character: str) -> None:
    """500 clients pipeline requests for the largest pages and never read. Memory stays bounded, others are served."""
    report.scenario += f", {'ASCII' if character == '0' else 'escapes'}"
    auth = await stand.start("auth")
    posts = await stand.start("posts")
    async with client() as http:
        token = (await sign_up(http, auth.url))["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        for _ in range(PAGE_POSTS):
            new = {"title": "A title", "body": character * 100_000}
            async with http.post(f"{posts.url}/posts", json=new, headers=bearer) as answer:
                assert answer.status == 201, await answer.text()
        new = {"title": "A title", "body": "short"}
        async with http.post(f"{posts.url}/posts", json=new, headers=bearer) as answer:
            short = (await answer.json())["id"]
    listing = f"GET /posts?limit=100 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    reading = f"GET /posts/{short} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    before, files = memory_mib(posts), open_files(posts)
    await _times(posts, reading, 1)
    idle = await _times(posts, reading, IDLE_SECONDS)
    watching = asyncio.create_task(_peak(posts, FREED_SECONDS))
    asking = asyncio.create_task(_times(posts, reading, FREED_SECONDS))
    sockets = await _never_reading(posts, listing * PIPELINED)
    busy, peak = await asking, await watching
    report.at_most(250, "largest memory", peak, "MiB")
    report.at_most(100, "more memory at the end", memory_mib(posts) - before, "MiB")
    report.at_most(files + DATABASE_CONNECTIONS, "open files at the end", open_files(posts))
    report.note("memory before", before, "MiB")
    report.note("p99 of another user, idle", _p99(idle) * 1000, "ms")
    report.note("p99 of another user", _p99(busy) * 1000, "ms")
    report.note("p99 as a multiple of idle", _p99(busy) / _p99(idle))
    report.note("slowest answer to another user", max(busy)[0], "s")
    report.at_most(0, "other users' requests that failed", sum(status != 200 for _, status in busy))
    report.note("answers to another user", len(busy))
    for sock in sockets:
        sock.close()


async def _never_reading(posts: Service, data: bytes) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(CLIENTS):
        sock = socket.socket()
        sock.settimeout(0)
        await loop.sock_connect(sock, ("127.0.0.1", posts.port))
        with suppress(BlockingIOError):
            sock.send(data)
        sockets.append(sock)
    return sockets


async def _times(posts: Service, request: bytes, seconds: float) -> list[tuple[float, int]]:
    """Durations and statuses of answers to another user, who asks fifty times a second without waiting for them."""

    async def ask() -> tuple[float, int]:
        started = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", posts.port)
        writer.write(request)
        status, _, _ = await asyncio.wait_for(read_answer(reader), 30)
        writer.close()
        return time.monotonic() - started, status

    asking, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        asking.append(asyncio.create_task(ask()))
        await asyncio.sleep(0.02)
    return await asyncio.gather(*asking)


async def _peak(posts: Service, seconds: float) -> float:
    peak, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max(peak, memory_mib(posts))
        await asyncio.sleep(0.05)
    return peak


def _p99(answers: list[tuple[float, int]]) -> float:
    return statistics.quantiles([seconds for seconds, _ in answers], n=100)[98]
