"""Writes by the client from docs/examples/python, which repeats those whose answer was lost."""

import asyncio
import signal

from aiohttp import ClientSession

from docs.examples.python.client import Client, OutcomeUnknown, Unavailable
from tests.api_client import PASSWORD
from tests.faults.ledger import Ledger
from tests.faults.report import Report
from tests.faults.stand import Stand, client, register

CLIENTS = 20


async def test_with_a_key_every_write_is_stored_once(stand: Stand, report: Report) -> None:
    """Postgres and posts are killed twice each while 20 clients write with keys. Every post is stored exactly once."""
    auth, posts = await stand.start("auth"), await stand.start("posts")
    ledger, done = Ledger(), asyncio.Event()
    repeated = 0

    async def write(number: int, example: Client) -> None:
        nonlocal repeated
        sent = 0
        while not done.is_set():
            sent += 1
            answer = await _created(example, f"{number}-{sent}")
            ledger.acknowledged.add(f"{number}-{sent}")
            repeated += answer

    async with client() as http:
        clients = [await _signed_in(http, auth.url, posts.url) for _ in range(CLIENTS)]
        writers = [asyncio.create_task(write(number, example)) for number, example in enumerate(clients)]
        for _ in range(2):
            await asyncio.sleep(1)
            await asyncio.to_thread(stand.kill_postgres)
            await asyncio.to_thread(stand.postgres.start)
            await asyncio.sleep(1)
            await stand.stop(stand.services[-1], signal.SIGKILL)
            await stand.start("posts", port=posts.port)
        await asyncio.sleep(1)
        done.set()
        await asyncio.gather(*writers)
    balance = await ledger.compare(stand.postgres.url("posts"))
    report.at_least(100, "written", balance.acknowledged, "posts")
    report.at_least(1, "repeated because their outcome was unknown", repeated)
    report.at_most(0, "lost", balance.lost)
    report.at_most(0, "doubled", balance.doubled)


async def _signed_in(http: ClientSession, auth: str, posts: str) -> Client:
    example = Client(http, auth, posts)
    await example.log_in(await register(http, auth), PASSWORD)
    return example


async def _created(example: Client, title: str) -> bool:
    """Create a post, however long that takes, and return whether a try before the last one may have done it."""
    key, doubtful = None, False
    while True:
        try:
            answer = await example.create("/posts", {"title": title, "body": "Some text"}, key)
        except OutcomeUnknown as error:
            key, doubtful = error.key, True
        except Unavailable:
            continue
        else:
            return doubtful or answer.doubtful
