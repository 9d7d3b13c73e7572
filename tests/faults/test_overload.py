"""Ten times as many requests as the database can serve."""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle
from statistics import quantiles

import asyncpg
import pytest
from aiohttp import ClientSession

from dev.service_process import Service
from tests.faults.report import Report
from tests.faults.stand import Stand, client, memory_mib, sign_up

SLOW_INSERT = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION slowly();
"""
CONNECTIONS = 1
USERS = 200
TIMES = 10
CAPACITY_SECONDS = 4.0
WRK_SECONDS = 8


@dataclass
class Answers:
    """How long answers took from the moment at which the request was due, in seconds."""

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    other: list[int] = field(default_factory=list)

    def add(self, status: int, seconds: float) -> None:
        """Add an answer."""
        match status:
            case HTTPStatus.CREATED:
                self.served.append(seconds)
            case HTTPStatus.SERVICE_UNAVAILABLE:
                self.refused.append(seconds)
            case _:
                self.other.append(status)


async def test_what_can_not_be_served_is_refused_at_once(stand: Stand, report: Report) -> None:
    """At ten times what a slow database can serve, posts serves as much as it can, and refuses the rest at once."""
    await _overload(stand, report, seconds=10)


@pytest.mark.once
@pytest.mark.slow
async def test_a_minute_of_overload(stand: Stand, report: Report) -> None:
    """For a minute, ten times as much is asked as a slow database can serve. Posts serves what it can."""
    await _overload(stand, report, seconds=60)


async def _overload(stand: Stand, report: Report, *, seconds: int) -> None:
    auth = await stand.start("auth")
    posts = await stand.start("posts", database_connections=CONNECTIONS)
    connection = await asyncpg.connect(stand.postgres.url("posts"))
    await connection.execute(SLOW_INSERT)
    await connection.close()
    async with client() as http:
        # of few users: their own lines would be what they wait in, since one user's writes wait for each other
        tokens = cycle([(await sign_up(http, auth.url))["access_token"] for _ in range(USERS)])
        capacity = await _capacity(http, posts, tokens)
        before = memory_mib(posts)
        answers, most = await _flood(http, posts, tokens, rate=TIMES * capacity, seconds=seconds)
        normal = await _seconds_until_normal(http, posts, tokens)
    report.note("capacity", capacity, "writes/s")
    report.note("sent", TIMES * capacity * seconds, "writes")
    report.at_least(90, "of the capacity served", 100 * len(answers.served) / seconds / capacity, "%")
    report.at_most(1.5, "p99 of the served", _p99(answers.served), "s")
    report.at_most(0.05, "p99 of the refused", _p99(answers.refused), "s")
    report.at_most(0, f"other answers {set(answers.other) or ''}".strip(), len(answers.other))
    report.at_most(2, "until a write takes its usual time again", normal, "s")
    report.at_most(100, "more memory", most - before, "MiB")


@pytest.mark.parametrize("hang", [0.0, 2.0], ids=["", "after the database hung for 2 s"])
async def test_a_thousand_impatient_clients_are_served(stand: Stand, report: Report, hang: float) -> None:
    """A thousand clients that ask again at once keep posts as busy as 32 do, but get as many answers."""
    auth = await stand.start("auth")
    posts = await stand.start("posts")
    async with client() as http:
        token = (await sign_up(http, auth.url))["access_token"]
        await _write(http, posts, token)
    few, _ = await _wrk(posts, token, connections=32)
    asking = asyncio.create_task(_wrk(posts, token, connections=1000))
    if hang:
        await asyncio.sleep(WRK_SECONDS / 4)
        stand.freeze()
        await asyncio.sleep(hang)
        stand.thaw()
    many, refused = await asking
    report.note("answers to 32 clients", few, "/s")
    report.at_least(50, "of that to 1,000", 100 * many * WRK_SECONDS / (WRK_SECONDS - hang) / few, "%")
    report.note("refused", refused, "/s")


async def _wrk(posts: Service, token: str, *, connections: int) -> tuple[float, float]:
    """Ask for a post over and over; return how many requests a second were served, and how many were not."""
    # fmt: off
    command = [
        "wrk", f"--connections={connections}", "--threads=1", f"--duration={WRK_SECONDS}s", "--timeout=10s",
        "--header", f"Authorization: Bearer {token}", f"{posts.url}/posts/1",
    ]
    # fmt: on
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode()
    counts = [re.search(pattern, text) for pattern in (r"(\d+) requests in", r"Non-2xx or 3xx responses: (\d+)")]
    answered, refused = (int(found[1]) if found else 0 for found in counts)
    return (answered - refused) / WRK_SECONDS, refused / WRK_SECONDS


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


async def _write(http: ClientSession, posts: Service, token: str) -> int:
    async with http.post(
        f"{posts.url}/posts",
        json={"title": "A title", "body": "Some text"},
        headers={"Authorization": f"Bearer {token}"},
    ) as answer:
        await answer.read()
        return answer.status


async def _capacity(http: ClientSession, posts: Service, tokens: Iterator[str]) -> float:
    """Return how many writes a second are served if nobody has to wait long."""
    count = 0
    end = time.perf_counter() + CAPACITY_SECONDS

    async def write_on() -> None:
        nonlocal count
        while time.perf_counter() < end:
            assert await _write(http, posts, next(tokens)) == HTTPStatus.CREATED
            count += 1

    await asyncio.gather(*(write_on() for _ in range(2 * CONNECTIONS)))
    return count / CAPACITY_SECONDS


async def _flood(
    http: ClientSession, posts: Service, tokens: Iterator[str], *, rate: float, seconds: float
) -> tuple[Answers, float]:
    """Send at a steady rate, whatever is answered; return the answers, and the most memory that posts used."""
    answers = Answers()
    most = 0.0

    async def send(due: float) -> None:
        status = await _write(http, posts, next(tokens))
        answers.add(status, time.perf_counter() - due)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            tasks.create_task(send(due))
            if number % 500 == 0:
                most = max(most, memory_mib(posts))
    return answers, most


async def _seconds_until_normal(http: ClientSession, posts: Service, tokens: Iterator[str]) -> float:
    begin = time.perf_counter()
    while True:
        started = time.perf_counter()
        status = await _write(http, posts, next(tokens))
        if status == HTTPStatus.CREATED and time.perf_counter() - started < 0.1:  # five times 0.02
            return time.perf_counter() - begin
        await asyncio.sleep(0.05)
