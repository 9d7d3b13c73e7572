"""How long a connection may stay silent, and how many there may be, over bare sockets."""

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from dev import service_process
from shared.http.connections import PROBE_SECONDS
from shared.http.server import RESERVED_FILES, Runner
from tests.raw_http import exchange

HEAD_SECONDS = 0.5
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ASK_SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
ASK_BIG = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"

SLOW_SECONDS = PROBE_SECONDS * 1.5
BIG_BYTES = 32 * 1024 * 1024
"""More than the operating system takes."""

WORKING: list[str] = []
"""The requests that reached a handler."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(max_connections: int = 100, **options: Any) -> AsyncIterator[int]:
    """Serve a few routes, and give the port."""

    async def hello(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="hello")

    async def slow(request: web.Request) -> web.Response:
        WORKING.append(request.path)
        try:
            await asyncio.sleep(SLOW_SECONDS)
        except asyncio.CancelledError:
            WORKING.append("cancelled")
            raise
        return web.Response(text="slow")

    async def big(request: web.Request) -> web.Response:
        WORKING.append(request.path)
        return web.Response(body=b"x" * BIG_BYTES)

    WORKING.clear()
    app = web.Application()
    app.router.add_route("*", "/", hello)
    app.router.add_get("/slow", slow)
    app.router.add_get("/big", big)
    runner = Runner(app, head_seconds=HEAD_SECONDS, max_connections=max_connections, **options)
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


@asynccontextmanager
async def console(port: int, limits: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the console, which needs no database, after these commands of the shell."""
    settings = {"PORT": str(port), "AUTH_URL": "http://127.0.0.1:1", "POSTS_URL": "http://127.0.0.1:2"}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limits} && exec "$@"', "-"),
        *(sys.executable, "-m", "console", "serve"),
        cwd=service_process.ROOT,
        env={**service_process.environment(), **settings, "LOG_FORMAT": "text"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
    async with console(port, f"ulimit -Sn 64 && ulimit -Hn {2 * places}") as process:
        assert process.stderr is not None
        assert b"for at most %d connections" % places in await asyncio.wait_for(process.stderr.readline(), 30)
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(connected(port)) for _ in range(places + 180)]
            reads = [asyncio.create_task(reader.read()) for reader, _ in opened]
            _, open_still = await asyncio.wait(reads, timeout=4)
            assert len(open_still) == places
            for read in open_still:
                read.cancel()
        process.terminate()
        log = (await process.stderr.read()).decode().splitlines()
        assert await process.wait() == 0
    assert "stopping" in log.pop()
    assert log
    assert all("refused" in line for line in log)


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_closed_its_side_is_answered(requests: int) -> None:
    """All requests that were complete when the client shut its side down are answered; then the connection closes."""
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(ASK * requests)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 5)
        assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"hello") == requests
        # from Python 3.12 on, an answer may be on its way before the end is seen
        assert answers.count(b"Connection: close") <= 1


async def test_a_client_that_closed_its_side_reads_a_large_answer() -> None:
    """The client may shut its side down while it reads; it gets the whole answer."""
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(ASK_BIG)
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        assert len(await asyncio.wait_for(reader.read(), 20)) == BIG_BYTES


@pytest.mark.slow
async def test_a_slow_answer_follows_a_100_to_a_client_that_closed_its_side() -> None:
    """A client that shut its side down and waits for a slow answer first gets 100 Continue, then the answer."""
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(ASK_SLOW)
        writer.write_eof()
        interim, answer, body = (await asyncio.wait_for(reader.read(), 5)).split(b"\r\n\r\n")
        assert interim == b"HTTP/1.1 100 Continue"
        assert (answer.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"slow")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [ASK_SLOW, ASK_SLOW.replace(b"1.1", b"1.0")])
async def test_a_client_that_left_is_noticed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Nobody works on for a client that has closed its connection; HTTP/1.0 has no way to find out."""
    monkeypatch.setattr(sys.modules[__name__], "SLOW_SECONDS", PROBE_SECONDS * 5)
    async with serving() as port:
        async with connected(port) as (_, writer):
            writer.write(sent)
            await asyncio.sleep(0.1)
        await asyncio.sleep(PROBE_SECONDS * 3)
        assert WORKING == ["/slow", "cancelled"] if sent == ASK_SLOW else ["/slow"]


async def test_half_a_request_of_a_client_that_closed_its_side_is_dropped() -> None:
    """If the body can't become complete any more, the connection is closed."""
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nx")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.slow
async def test_an_answer_that_nobody_reads_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The next request waits for the previous answer to be read; if that takes too long, the connection is closed."""
    async with serving(write_seconds=1.0) as port, unread(port, ASK_BIG * 3) as sock:
        await asyncio.sleep(0.5)
        assert WORKING == ["/big"]
        await asyncio.sleep(2)
        with pytest.raises(ConnectionResetError):
            await received(sock)
        assert WORKING == ["/big"]
    assert any("did not read" in record.message for record in caplog.records)


@pytest.mark.slow
async def test_a_slow_reader_in_time_gets_everything() -> None:
    """A client that reads slowly, but in time, gets every answer in full."""
    async with (
        serving(write_seconds=5.0) as port,
        unread(port, ASK_BIG + ASK.replace(b"Host", b"Connection: close\r\nHost")) as sock,
    ):
        await asyncio.sleep(1)
        answers = await received(sock)
        assert answers.endswith(b"hello")
        assert len(answers) > BIG_BYTES


@pytest.mark.slow
async def test_too_much_unread_drops_the_oldest() -> None:
    """If unread answers take too much memory in all, the one that has waited longest is dropped, and no other."""
    async with serving(max_unread_bytes=int(BIG_BYTES * 4.5)) as port, AsyncExitStack() as stack:
        socks = []
        for _ in range(3):  # each takes up to twice its size
            socks.append(await stack.enter_async_context(unread(port, ASK_BIG)))
            await asyncio.sleep(0.5)
        with pytest.raises(ConnectionResetError):
            await received(socks[0])
        for sock in socks[1:]:
            sock.shutdown(socket.SHUT_WR)
            assert len(await received(sock)) > BIG_BYTES


@asynccontextmanager
async def unread(port: int, data: bytes) -> AsyncIterator[socket.socket]:
    """Send data on a connection from which nothing is read."""
    with socket.socket() as sock:
        sock.settimeout(0)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        sock.send(data)
        yield sock


async def received(sock: socket.socket) -> bytes:
    """Read until the end."""
    parts = []
    async with asyncio.timeout(20):
        while part := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.slow
async def test_no_file_for_a_new_connection_is_one_line_a_second() -> None:
    """If accept() itself fails, the log gets one line a second that says what to do, and the service recovers."""
    port = service_process.free_port()
    async with console(port, "ulimit -n 16") as process:
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            for _ in range(100):
                await stack.enter_async_context(connected(port))
            await asyncio.sleep(3)
        async with asyncio.timeout(30):
            while True:
                async with connected(port) as (reader, writer):
                    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
                    if b" 200 " in await reader.readline():
                        break
                await asyncio.sleep(0.1)
        seconds = time.monotonic() - started
        process.terminate()
        assert process.stderr is not None
        log = (await process.stderr.read()).decode()
    lines = [line for line in log.splitlines() if "can't accept" in line]
    assert 1 <= len(lines) <= 1 + seconds
    assert "ulimit -n" in lines[0]
    assert "Traceback" not in log
