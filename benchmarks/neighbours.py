"""python -m benchmarks.neighbours: what one user's hostile searches and lists do to others.

Starts a posts service, as a process, on a Postgres of its own, filled with posts that make a search cost as much as
possible. In rounds it measures how long another user's GET /posts/{id} takes, while nothing else happens and while
twelve clients search without a pause. Then twelve clients list the largest posts there are. Clients, database and
service share the machine. Ends with status 1 if an aim is missed.
"""

import asyncio
import http.client
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncpg

from dev import service_process
from dev.postgres import temporary
from dev.service_process import Service
from tests.posts_service.board import person

CLIENTS = 12
ROUNDS = 9
PROBE_SECONDS = 1.5
PROBES_A_SECOND = 100.0
LISTS = 3
"""Lists that each client asks for."""

SMALL_POSTS = 10_003
SMALL_BODY = "a " * 255
LARGE_POSTS = 101
LARGE_BODIES = {"ASCII": "0123456789" * 10_000, "owls": "🦉" * 100_000, "escapes": "\1" * 100_000}
"""The largest posts in characters, in bytes and as JSON."""

SEARCHES = ('"a a a a b" "a a a a c"', '-"a a a a a" -"a a a a a"', '"a a a a b" or "a a a a c"', '"b a a a a" -"a c"')
"""Searches that compare as many positions as the limits allow, in every post, and find none."""

SLOWER = 2.0
"""How much slower than idle the slowest of a hundred answers may be."""

MEBIBYTES = 200.0
"""Memory of the service during the lists."""


def main() -> None:
    """Measure, print and judge."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log, temporary() as postgres:
        keyring = Path(folder) / "keyring.json"
        service_process.new_keyrings(keyring)
        service = service_process.start(
            "posts", port=service_process.free_port(), database_url=postgres.url(), keyring=keyring, log=log
        )
        try:
            service_process.wait_until_ready([service])
            hostile, other = person(keyring).token, person(keyring).token
            asyncio.run(add_posts(postgres.url(), SMALL_BODY, SMALL_POSTS))
            is_good = measure_searches(service, hostile, other)
            for name, body in LARGE_BODIES.items():
                asyncio.run(add_posts(postgres.url(), body, LARGE_POSTS))
                is_good &= measure_lists(service, hostile, name)
        finally:
            service_process.stop([service])
    sys.exit(not is_good)


def measure_searches(service: Service, hostile: str, other: str) -> bool:
    """Measure in rounds, and print; return whether the aim is met."""
    probe(service, other, PROBE_SECONDS)  # fills caches
    idle, busy, answers = [], [], Counter[str]()
    with hostile_clients(service, hostile) as clients:
        for _ in range(ROUNDS):
            idle.append(slowest(probe(service, other, PROBE_SECONDS)))
            clients.send(None)
            clients.recv()  # they have begun
            busy.append(slowest(probe(service, other, PROBE_SECONDS)))
            clients.send(None)
            answers += clients.recv()
    ratio = statistics.median(busy) / statistics.median(idle)
    print(f"GET /posts/{{id}}, nothing else to do: p99 {listed(idle)} ms, median {statistics.median(idle):.2f}")
    print(f"GET /posts/{{id}}, under {CLIENTS} searches: p99 {listed(busy)} ms, median {statistics.median(busy):.2f}")
    print(f"  the searches were answered {', '.join(f'{code}: {count}' for code, count in sorted(answers.items()))}")
    print(f"  {ratio:.2f} times as long; aim: less than {SLOWER:g}")
    return ratio < SLOWER


def measure_lists(service: Service, hostile: str, name: str) -> bool:
    """Measure, and print; return whether the aim is met."""
    before = service.process.memory_info().rss / 2**20
    most = asyncio.run(memory_under_lists(service, hostile)) / 2**20
    print(
        f"memory under {CLIENTS} lists of the largest posts, {name}: {most:.0f} MiB, {before:.0f} before; aim: less"
        f" than {MEBIBYTES:g}"
    )
    return most < MEBIBYTES


def probe(service: Service, token: str, seconds: float) -> Sequence[float]:
    """Ask for a post at a steady rate; gives the milliseconds of every answer, from when it was due."""
    connection = http.client.HTTPConnection(service_process.HOST, service.port, timeout=30)
    found, begin, ended = [], time.perf_counter(), 0.0
    for number in range(int(seconds * PROBES_A_SECOND)):
        due = begin + number / PROBES_A_SECOND
        if ended < due:
            time.sleep(max(0.0, due - time.perf_counter()))
            due = time.perf_counter()
        connection.request("GET", "/posts/1", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        ended = time.perf_counter()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"GET /posts/1: {response.status}")
        found.append((ended - due) * 1000)
    connection.close()
    return found


@contextmanager
def hostile_clients(service: Service, token: str) -> Iterator[Connection]:
    """Start the clients as a process of its own, which searches from one message to the next."""
    spawn: Any = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    clients = spawn.Process(target=send_searches, args=(service.url, token, theirs), daemon=True)
    clients.start()
    theirs.close()  # so that `ours` ends if they fail
    ours.recv()  # they are there
    try:
        yield ours
    finally:
        ours.close()
        clients.join()


def send_searches(url: str, token: str, report: Connection) -> None:
    """Be the clients; report once they begin, and at the end how the searches were answered."""
    asyncio.run(_send_searches(url, token, report))


async def _send_searches(url: str, token: str, report: Connection) -> None:
    is_over = True
    answers = Counter[str]()

    async def search(http: aiohttp.ClientSession, number: int) -> None:
        query = urlencode({"q": SEARCHES[number % len(SEARCHES)]})
        while not is_over:
            async with http.get(f"{url}/posts?{query}") as response:
                found = await response.json(content_type=None)
                answers[found.get("code", str(response.status))] += 1

    async with session(token) as http:
        report.send(None)
        while await told(report):
            is_over = False
            answers.clear()
            clients = asyncio.gather(*(search(http, number) for number in range(CLIENTS)))
            await asyncio.sleep(0.2)
            report.send(None)
            await told(report)
            is_over = True
            await clients
            report.send(answers)


async def told(report: Connection) -> bool:
    """Wait for a message; returns False if there will be none."""
    try:
        await asyncio.to_thread(report.recv)
    except EOFError:
        return False
    return True


async def memory_under_lists(service: Service, token: str) -> int:
    """The most memory that the service has, in bytes, while clients list the largest posts."""
    largest = 0

    async def watch() -> None:
        nonlocal largest
        while True:
            largest = max(largest, service.process.memory_info().rss)
            await asyncio.sleep(0.005)

    async with session(token) as http:

        async def read() -> None:
            for _ in range(LISTS):
                async with http.get(f"{service.url}/posts?limit=100") as response:
                    if response.status != HTTPStatus.OK:
                        raise RuntimeError(await response.text())
                    await response.read()

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(read() for _ in range(CLIENTS)))
        watching.cancel()
    return largest


def session(token: str) -> aiohttp.ClientSession:
    """A client that opens as many connections as it needs."""
    headers = {"Authorization": f"Bearer {token}"}
    return aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0))


async def add_posts(url: str, body: str, posts: int) -> None:
    """Write the same post many times into the table."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO posts (author_id, author_name, title, body, tags)"
        " SELECT gen_random_uuid(), 'Ada', 'A title', $1, '{}' FROM generate_series(1, $2::int)",
        body,
        posts,
    )
    await connection.execute("VACUUM ANALYZE posts")
    await connection.close()


def slowest(milliseconds: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(milliseconds)[len(milliseconds) * 99 // 100]


def listed(figures: Sequence[float]) -> str:
    """The figures of all rounds."""
    return " ".join(f"{figure:.2f}" for figure in figures)


if __name__ == "__main__":
    main()
