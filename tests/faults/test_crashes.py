"""Crashes while clients write: of Postgres, and of the service."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tests.faults.ledger import Ledger
from tests.faults.report import Report
from tests.faults.stand import Stand, client, sign_up

CLIENTS = 20
CRASHES = 3
PAUSE_SECONDS = 0.2


async def test_a_crash_of_postgres_loses_no_write(stand: Stand, report: Report) -> None:
    """Postgres is killed three times while 20 clients write. No acknowledged post is lost, none is stored twice."""

    async def crash() -> None:
        await asyncio.to_thread(stand.kill_postgres)
        await asyncio.to_thread(stand.postgres.start)

    await _write_during(stand, report, crash)


async def test_a_crash_of_posts_loses_no_write(stand: Stand, report: Report) -> None:
    """`kill -9` of posts, three times, while 20 clients write. No acknowledged post is lost, none is stored twice."""

    async def crash() -> None:
        posts = stand.services[-1]
        await stand.stop(posts, signal.SIGKILL)
        await stand.start("posts", port=posts.port)

    await _write_during(stand, report, crash)


async def _write_during(stand: Stand, report: Report, crash: Callable[[], Awaitable[None]]) -> None:
    auth = await stand.start("auth")
    posts = await stand.start("posts")
    ledger = Ledger()
    done = asyncio.Event()

    async def write(number: int, token: str) -> None:
        sent = 0
        while not done.is_set():
            sent += 1
            if await ledger.write(http, posts.url, token, f"{number}-{sent}") != 201:
                await asyncio.sleep(PAUSE_SECONDS)

    async with client() as http:
        tokens = [(await sign_up(http, auth.url))["access_token"] for _ in range(CLIENTS)]
        writers = [asyncio.create_task(write(number, token)) for number, token in enumerate(tokens)]
        for _ in range(CRASHES):
            await asyncio.sleep(1)
            await crash()
            await asyncio.sleep(1)
        done.set()
        await asyncio.gather(*writers)
    balance = await ledger.compare(stand.postgres.url("posts"))
    report.at_least(200, "acknowledged", balance.acknowledged, "writes")
    report.at_most(0, "lost", balance.lost)
    report.at_most(0, "doubled", balance.doubled)
    report.at_most(0, "stored though never sent", balance.foreign)
    report.note("unknown", balance.unknown)
    report.note("of these stored", balance.stored_although_unknown)
