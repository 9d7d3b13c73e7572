"""A disk that takes two seconds to write."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from tests.faults.report import Report
from tests.faults.stand import Stand, client, needs, sign_up
from tests.faults.traffic import Traffic

DELAY_SECONDS = 2
SLOW_SECONDS = 15.0
FEW, MANY = 4, 20
"""Fewer clients that write than connections, and more."""


@pytest.mark.slow
@pytest.mark.parametrize("writers", [FEW, MANY])
async def test_a_disk_that_takes_two_seconds(stand: Stand, report: Report, writers: int) -> None:
    """Each fsync of Postgres takes 2 s more. Writes are slow or get 503, none is lost. Reads go on beside a few."""
    needs("strace", root=True)
    report.scenario += f", {writers} clients write"
    auth, posts = await stand.start("auth"), await stand.start("posts")
    async with client() as http:
        tokens = [(await sign_up(http, auth.url))["access_token"] for _ in range(writers)]
        traffic = Traffic(http, posts.url)
        async with traffic.running(writers=tokens, readers=tokens[:2]):
            await asyncio.sleep(1)
            quick, slowest_quick = traffic.writes[201], traffic.slowest_write
            async with _slow_disk(stand):
                traffic.slowest_read = 0
                await asyncio.sleep(SLOW_SECONDS)
                slow = traffic.writes[201] - quick
            back = await traffic.seconds_until_all_write(tokens[0])
        report.note("slowest write before", slowest_quick, "s")
        report.at_least(DELAY_SECONDS, "slowest write", traffic.slowest_write, "s")
        report.at_least(writers, f"written in {SLOW_SECONDS:.0f} s on the slow disk", slow)
        report.at_most(15, "slowest answer", max(traffic.slowest_write, traffic.slowest_read), "s")
        report.at_most(5, "until all writes worked", back, "s")
        report.note("slowest read", traffic.slowest_read, "s")
        await traffic.judge(report, stand.postgres.url("posts"), reads_go_on=writers == FEW)


@asynccontextmanager
async def _slow_disk(stand: Stand) -> AsyncIterator[None]:
    """Delay every fsync and fdatasync of all processes of Postgres, also of those that start meanwhile."""
    calls = "fsync,fdatasync"
    # fmt: off
    command = [
        "strace", "-f", "-qq", "-o", str(stand.folder / "strace.log"), "-e", f"trace={calls}",
        "-e", f"inject={calls}:delay_enter={DELAY_SECONDS}s",
        *(part for process in stand.postgres_processes() for part in ("-p", str(process.pid))),
    ]
    # fmt: on
    with (stand.folder / "strace.err").open("wb") as errors:
        tracing = psutil.Popen(command, stderr=errors)
    try:
        await asyncio.sleep(0.5)
        assert tracing.poll() is None, (stand.folder / "strace.err").read_text()
        yield
    finally:
        tracing.send_signal(signal.SIGINT)  # it lets go of the processes
        await asyncio.to_thread(tracing.wait, 30)
