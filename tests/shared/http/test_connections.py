"""How long a connection may stay silent, and how many there may be, over bare sockets."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from dev import service_process
from shared.http.server import RESERVED_FILES, Runner
from tests.raw_http import exchange

HEAD_SECONDS = 0.5
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(max_connections: int = 100) -> AsyncIterator[int]:
    """Serve one route, and give the port."""

    async def hello(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_route("*", "/", hello)
    runner = Runner(app, head_seconds=HEAD_SECONDS, max_connections=max_connections)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    """Open a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def get(streams: Streams) -> bytes:
    """Send a request and return the status line of the answer."""
    reader, writer = streams
    writer.write(ASK)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    await reader.readexactly(len("hello"))
    return head.split(b"\r\n")[0]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"GET", ASK[:-2], ASK[:-2] + b"X-More: "])
async def test_a_connection_without_a_request_is_closed(sent: bytes) -> None:
    """A new connection that doesn't send the whole head of a request in time is closed, even if bytes keep coming."""
    async with serving() as port, connected(port) as (reader, writer):
        started = time.monotonic()
        writer.write(sent)

        async def trickle() -> None:
            while sent.endswith(b": "):
                await asyncio.sleep(HEAD_SECONDS / 5)
                writer.write(b"x")

        trickling = asyncio.create_task(trickle())
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert HEAD_SECONDS * 0.9 <= time.monotonic() - started < HEAD_SECONDS * 4
        trickling.cancel()


@pytest.mark.slow
async def test_an_idle_connection_is_kept_until_a_head_begins() -> None:
    """A connection that has sent a request may be silent for longer, but must finish the next head in time."""
    async with serving() as port, connected(port) as (reader, writer):
        assert await get((reader, writer)) == b"HTTP/1.1 200 OK"
        await asyncio.sleep(HEAD_SECONDS * 2)
        assert await get((reader, writer)) == b"HTTP/1.1 200 OK"
        writer.write(ASK[:10])
        assert await asyncio.wait_for(reader.read(), HEAD_SECONDS * 4) == b""


@pytest.mark.slow
async def test_a_slow_body_is_not_a_slow_head() -> None:
    """The limit is for the head: a body may take longer."""
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            await asyncio.sleep(HEAD_SECONDS / 2)
            writer.write(b"x")
        assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 200 OK\r\n"


async def test_a_connection_too_many_gets_503(caplog: pytest.LogCaptureFixture) -> None:
    """Above the limit a connection is answered 503 and closed; the others work on, and a free place is used again."""
    async with serving(max_connections=2) as port, connected(port) as first:
        async with connected(port) as second:
            assert await get(first) == await get(second) == b"HTTP/1.1 200 OK"
            status, headers, body = await exchange(f"http://127.0.0.1:{port}", ASK)
            assert status == b"HTTP/1.1 503 Service Unavailable"
            assert (headers["Connection"], headers["Retry-After"]) == ("close", "1")
            assert headers["Content-Type"] == "application/problem+json"
            problem = json.loads(body)
            assert (problem["code"], problem["request_id"]) == ("busy", headers["X-Request-ID"])
            assert await get(first) == b"HTTP/1.1 200 OK"
        await asyncio.sleep(0.1)
        async with connected(port) as third:
            assert await get(third) == b"HTTP/1.1 200 OK"
    assert [record.levelno for record in caplog.records if "refused" in record.message] == [logging.WARNING]


@pytest.mark.slow
async def test_a_flood_of_connections_is_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of connections too many are all closed soon, and the log has at most one line a second about them."""
    started = time.monotonic()
    async with serving(max_connections=1) as port, AsyncExitStack() as stack:
        held = await stack.enter_async_context(connected(port))
        assert await get(held) == b"HTTP/1.1 200 OK"
        flood = [await stack.enter_async_context(connected(port)) for _ in range(300)]
        ends = await asyncio.wait_for(
            asyncio.gather(*(reader.read() for reader, _ in flood), return_exceptions=True), 5
        )
        assert len(ends) == 300
        assert await get(held) == b"HTTP/1.1 200 OK"
    lines = [record for record in caplog.records if "refused" in record.message]
    assert 1 <= len(lines) <= 1 + time.monotonic() - started


@pytest.mark.slow
async def test_open_files_bound_the_connections() -> None:
    """A process raises its soft limit of open files to the hard one, and connections take at most half of it."""
    places, port = RESERVED_FILES // 2, service_process.free_port()
    console = {"PORT": str(port), "AUTH_URL": "http://127.0.0.1:1", "POSTS_URL": "http://127.0.0.1:2"}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'ulimit -Sn 64 && ulimit -Hn {2 * places} && exec "$@"', "-"),
        *(sys.executable, "-m", "console", "serve"),
        cwd=service_process.ROOT,
        env={**service_process.environment(), **console, "LOG_FORMAT": "text"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        assert b"for at most %d connections" % places in await asyncio.wait_for(process.stderr.readline(), 30)
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(connected(port)) for _ in range(places + 180)]
            reads = [asyncio.create_task(reader.read()) for reader, _ in opened]
            _, open_still = await asyncio.wait(reads, timeout=4)
            assert len(open_still) == places
            for read in open_still:
                read.cancel()
    finally:
        process.terminate()
        log = (await process.stderr.read()).decode()
    assert await process.wait() == 0
    assert log
    assert all("refused" in line for line in log.splitlines())
