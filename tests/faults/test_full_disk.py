"""The disk of Postgres' log is full: Postgres gives up (PANIC), and comes back when there is room."""

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dev import Failure
from dev.postgres import hand_over
from tests.faults.report import Report
from tests.faults.stand import Stand, client, needs, sign_up
from tests.faults.traffic import Traffic

SMALL, LARGE = "size=48m", "size=512m"
"""Three segments of the log fit into the small one."""

CLIENTS = 10
BODY_BYTES = 30_000
STILL_FULL_SECONDS = 6.0


@pytest.mark.slow
async def test_a_full_disk_for_the_log(stand: Stand, report: Report) -> None:
    """The disk with Postgres' log fills up: PANIC. No write is lost, nobody gets a 500; with more room, all works."""
    needs("mount", "umount", root=True)
    panics = 0

    async def supervise() -> None:
        """Start Postgres again whenever it has ended, as its container's restart policy does."""
        nonlocal panics
        while True:
            process = stand.postgres.process
            if process is None or process.poll() is not None:
                panics += _panics(stand)
                with suppress(Failure):
                    await asyncio.to_thread(stand.postgres.start)
            await asyncio.sleep(0.2)

    async with _log_on_a_small_disk(stand) as disk, client() as http:
        auth, posts = await stand.start("auth"), await stand.start("posts")
        tokens = [(await sign_up(http, auth.url))["access_token"] for _ in range(CLIENTS)]
        traffic = Traffic(http, posts.url, body=lambda: secrets.token_hex(BODY_BYTES // 2))
        supervising = asyncio.create_task(supervise())
        try:
            async with traffic.running(writers=tokens, readers=tokens[:2]):
                async with asyncio.timeout(120):
                    while panics + _panics(stand) == 0:
                        await asyncio.sleep(0.1)
                await asyncio.sleep(STILL_FULL_SECONDS)
                await asyncio.to_thread(subprocess.run, ["mount", "-o", f"remount,{LARGE}", str(disk)], check=True)
                back = await traffic.seconds_until_all_write(tokens[0])
        finally:
            supervising.cancel()
            await asyncio.wait([supervising])
        panics += _panics(stand)
        report.at_least(1, "times that Postgres panicked", panics)
        report.at_most(10, "until all writes worked, once there was room", back, "s")
        await traffic.judge(report, stand.postgres.url("posts"))
        report.at_most(30, "slowest answer", max(traffic.slowest_write, traffic.slowest_read), "s")


def _panics(stand: Stand) -> int:
    """How often the running server has panicked; a start begins a new log."""
    return stand.postgres.log.read_text(errors="replace").count("PANIC:")


@asynccontextmanager
async def _log_on_a_small_disk(stand: Stand) -> AsyncIterator[Path]:
    """Move the write-ahead log to a small file system in memory for the duration of the block."""
    await asyncio.to_thread(stand.postgres.stop)
    disk, log = stand.folder / "disk", stand.postgres.data / "pg_wal"
    disk.mkdir()
    await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(disk)], check=True)
    try:
        hand_over(disk)
        await asyncio.to_thread(subprocess.run, ["cp", "-a", str(log), str(disk / "pg_wal")], check=True)
        shutil.rmtree(log)
        log.symlink_to(disk / "pg_wal")
        await asyncio.to_thread(stand.postgres.start)
        # a start that fails removes the folder of the socket, unless something else is in it
        kept = Path(parse_qs(urlsplit(stand.postgres.url()).query)["host"][0]) / "kept"
        kept.touch()
        try:
            yield disk
        finally:
            kept.unlink()
    finally:
        for service in list(stand.services):
            await stand.stop(service)
        await asyncio.to_thread(stand.postgres.stop)
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=True)
