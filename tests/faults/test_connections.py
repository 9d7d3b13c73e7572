"""More connections than a service may have open files."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from dev.service_process import Service
from shared.http.server import HEAD_SECONDS
from tests.faults.load import read_answer
from tests.faults.report import Report
from tests.faults.stand import Stand, memory_mib

ASK = b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n"
SILENT = 2000


@pytest.mark.slow
@pytest.mark.parametrize("files", [1024, 256, 128])
async def test_silent_connections_do_not_lock_others_out(stand: Stand, report: Report, files: int) -> None:
    """2,000 silent connections come at once to a process with few open files. Others get 503 at once, 200 in 10 s."""
    report.scenario += f", {files} files"
    posts = await stand.start("posts")
    await stand.stop(posts)
    posts = await _with_files(stand, posts.port, files)
    reader, writer = await asyncio.open_connection("127.0.0.1", posts.port)
    writer.write(ASK)
    assert (await read_answer(reader))[0] == 200
    log = stand.log_of("posts", posts.port)
    logged, started = log.stat().st_size, time.monotonic()
    async with _silent(posts, SILENT):
        statuses, slowest = Counter[int | str](), 0.0
        freed = None
        while freed is None and time.monotonic() - started < HEAD_SECONDS * 3:
            asked = time.monotonic()
            status = await _ask(posts)
            slowest = max(slowest, time.monotonic() - asked)
            statuses[status] += 1
            if status == 200:
                freed = time.monotonic() - started
            writer.write(ASK)
            async with asyncio.timeout(10):
                assert (await read_answer(reader))[0] == 200, "an open connection works on"
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - started
    report.at_most(HEAD_SECONDS + 5, "until a new client is served", freed or seconds, "s")
    report.at_most(3, "slowest answer to a new client", slowest, "s")
    report.at_most(2, "log", (log.stat().st_size - logged) / 1024 / seconds, "KiB/s")
    report.at_most(
        0, "new clients without an answer", sum(n for status, n in statuses.items() if status not in (200, 503))
    )
    report.note("new clients answered 503", statuses[503])
    report.note("memory", memory_mib(posts), "MiB")
    for status, count in statuses.items():
        if isinstance(status, str):
            report.note(status, count)
    writer.close()


async def _with_files(stand: Stand, port: int, files: int) -> Service:
    """Start posts with a hard limit of open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    posts = await stand.start("posts", port=port, ready=False)
    resource.prlimit(posts.process.pid, resource.RLIMIT_NOFILE, (files, files))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    async with asyncio.timeout(60):
        while await _ask(posts) != 200:
            await asyncio.sleep(0.1)
    return posts


@asynccontextmanager
async def _silent(posts: Service, count: int) -> AsyncIterator[None]:
    """Open connections at once and send nothing; those that are closed are not opened again."""

    async def be_silent() -> None:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", posts.port)
            try:
                await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

    tasks = [asyncio.create_task(be_silent()) for _ in range(count)]
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        async with asyncio.timeout(30):  # the service closes them
            await asyncio.gather(*tasks)


async def _ask(posts: Service) -> int | str:
    """Ask on a new connection; return the status, or what went wrong."""
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", posts.port)
            writer.write(ASK)
            status, _, _ = await read_answer(reader)
            writer.close()
            return status
    except (OSError, EOFError, TimeoutError) as error:
        return type(error).__name__
