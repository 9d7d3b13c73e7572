"""Clients that write posts and others that read them, whatever happens meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.faults.ledger import Ledger
from tests.faults.report import Report

PAUSE_SECONDS = 0.2
"""After a request that was not served."""

ANSWER_SECONDS = 60.0
"""When a client stops waiting for an answer."""

TOGETHER = 10
"""So many writes at once use every connection of the pool."""


@dataclass
class Traffic:
    """What clients of posts sent, and what they were answered.

    Args:
        http: Sends the requests.
        posts: The base URL.
        body: Makes the text of a post.
    """

    http: ClientSession
    posts: str
    body: Callable[[], str] = lambda: "Some text"
    ledger: Ledger = field(default_factory=Ledger)
    writes: Counter[int | None] = field(default_factory=Counter)
    """By status; None if there was no answer."""

    reads: Counter[int | None] = field(default_factory=Counter)
    slowest_write: float = 0.0
    slowest_read: float = 0.0
    _sent: int = 0

    @asynccontextmanager
    async def running(self, *, writers: Sequence[str] = (), readers: Sequence[str] = ()) -> AsyncIterator[None]:
        """Write and read for the duration of the block, one client for each of these tokens."""
        done = asyncio.Event()

        async def repeat(ask: Callable[[str], Awaitable[int | None]], served: int, token: str) -> None:
            while not done.is_set():
                if await ask(token) != served:
                    await asyncio.sleep(PAUSE_SECONDS)

        tasks = [asyncio.create_task(repeat(self.write, 201, token)) for token in writers]
        tasks += [asyncio.create_task(repeat(self.read, 200, token)) for token in readers]
        try:
            yield
        finally:
            done.set()
            await asyncio.gather(*tasks)

    async def write(self, token: str) -> int | None:
        """Write a post."""
        self._sent += 1
        started = time.monotonic()
        status = await self.ledger.write(self.http, self.posts, token, f"post {self._sent}", self.body())
        self.writes[status] += 1
        self.slowest_write = max(self.slowest_write, time.monotonic() - started)
        return status

    async def read(self, token: str) -> int | None:
        """Read the newest post."""
        started = time.monotonic()
        status: int | None = None
        headers, timeout = {"Authorization": f"Bearer {token}"}, ClientTimeout(ANSWER_SECONDS)
        try:
            async with self.http.get(f"{self.posts}/posts?limit=1", headers=headers, timeout=timeout) as answer:
                await answer.read()
                status = answer.status
        except (ClientError, TimeoutError):
            pass
        self.reads[status] += 1
        self.slowest_read = max(self.slowest_read, time.monotonic() - started)
        return status

    async def seconds_until_all_write(self, token: str, limit: float = 60.0) -> float:
        """Return how long it takes until a write on every connection of the pool succeeds; at most `limit`."""
        started = time.monotonic()
        while time.monotonic() - started < limit:
            if set(await asyncio.gather(*(self.write(token) for _ in range(TOGETHER)))) == {201}:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return time.monotonic() - started

    async def judge(self, report: Report, database_url: str, *, reads_go_on: bool = False) -> None:
        """Record what must hold in every outage: each request is answered, never with 500, and no write is lost."""
        balance = await self.ledger.compare(database_url)
        refused = (503, 507)
        answers = self.writes + self.reads
        report.at_least(1, "acknowledged", balance.acknowledged, "writes")
        report.at_most(0, "of these lost", balance.lost)
        report.at_most(0, "stored twice", balance.doubled)
        report.at_most(
            0,
            "answers other than success, 503 and 507",
            answers.total() - sum(answers[status] for status in (200, 201, *refused)),
        )
        report.note("writes refused", sum(self.writes[status] for status in refused))
        if reads_go_on:
            report.at_most(0, "reads refused", self.reads.total() - self.reads[200])
        else:
            report.note("reads refused", sum(self.reads[status] for status in refused))
