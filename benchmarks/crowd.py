"""python -m benchmarks.crowd: what a crowd of log-ins from one address does to a log-in from elsewhere.

Starts an auth service, as a process, on a Postgres of its own, with bcrypt at cost 12. One address keeps CROWD log-ins
with the right password in progress, to accounts of its own. Meanwhile somebody else signs in from another address,
again and again. Aim: all succeed, with a p99 under 2 s. On a busy machine, compare with the figures before and after.
"""

import asyncio
import json
import time
from collections import Counter
from http import HTTPStatus
from uuid import uuid4

import aiohttp
import asyncpg

from benchmarks.logins import COST, PASSWORD, auth_on_new_database, spread
from tests.auth_service.hashing import CountingHasher

CROWD = 80
LOG_INS = 20
PAUSE_SECONDS = 1.0
"""Between two log-ins of the one who is elsewhere."""

CROWDED_SECONDS = 0.5
"""How long a member of the crowd waits after a refusal; it doesn't respect Retry-After."""


def main() -> None:
    """Measure and print."""
    with auth_on_new_database() as (service, database_url):
        asyncio.run(measure(service.url, database_url))


async def measure(url: str, database_url: str) -> None:
    """Measure alone and in the crowd, and print."""
    password_hash = await CountingHasher(COST).hash(PASSWORD)
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO users (id, email, email_key, name, password_hash) VALUES ($1, $2, $2, 'Ada', $3)",
        [
            (uuid4(), f"{name}@example.com", password_hash)
            for name in ("victim", *(f"crowd{number}" for number in range(CROWD)))
        ],
    )
    await connection.close()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def log_in(name: str, address: str) -> int:
            body = json.dumps({"email": f"{name}@example.com", "password": PASSWORD}).encode()
            headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
            async with session.post(f"{url}/login", data=body, headers=headers) as response:
                await response.read()
                return response.status

        crowded: Counter[int] = Counter()

        async def member(number: int) -> None:
            while True:
                status = await log_in(f"crowd{number}", "192.0.2.1")
                crowded[status] += 1
                if status != HTTPStatus.OK:
                    await asyncio.sleep(CROWDED_SECONDS)

        async def log_ins(address: str) -> list[tuple[int, float]]:
            answers = []
            for _ in range(LOG_INS):
                started = time.perf_counter()
                answers.append((await log_in("victim", address), time.perf_counter() - started))
                await asyncio.sleep(PAUSE_SECONDS)
            return answers

        report("alone", await log_ins("198.51.100.1"))
        crowd = [asyncio.create_task(member(number)) for number in range(CROWD)]
        await asyncio.sleep(1)
        report(f"in a crowd of {CROWD}", await log_ins("198.51.100.2"))
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        report("alone again", await log_ins("198.51.100.3"))
        print(f"the crowd's answers: {dict(sorted(crowded.items()))}")


def report(where: str, answers: list[tuple[int, float]]) -> None:
    """Print what the one who is elsewhere got."""
    statuses = Counter(status for status, _ in answers)
    print(
        f"log-ins, {where}: {dict(sorted(statuses.items()))}, {spread([seconds for _, seconds in answers])}", flush=True
    )


if __name__ == "__main__":
    main()
