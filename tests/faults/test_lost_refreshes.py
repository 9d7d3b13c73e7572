"""Refreshes whose answer is lost: by a crash of auth, and while Postgres hangs."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest
from aiohttp import ClientError, ClientSession

from docs.examples.python.client import Client, SignedOut, Unavailable
from tests.api_client import PASSWORD
from tests.faults.report import Report
from tests.faults.stand import Stand, client, register, sign_up

SESSIONS = 120
CONNECTIONS = 40
"""Auth's connections to its database: so many refreshes are under way when it is killed."""

# As on a busy disk: nearly all refreshes under way are then waiting for their commit, which can't be cancelled.
SLOW_COMMITS = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; EXCEPTION WHEN query_canceled THEN RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow_commits AFTER UPDATE ON sessions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait();
"""
QUICK_COMMITS = "DROP FUNCTION wait CASCADE"

OUTAGE_SECONDS = 14
FREEZE_SECONDS = 16
LONG_OUTAGE_SECONDS = 300
PATIENCE_SECONDS = 120

Refresh = Callable[[], Coroutine[None, None, bool]]
"""Refreshes one session until an answer arrives; returns False if the session has ended."""


@pytest.mark.slow
async def test_a_crash_of_auth_ends_no_session(stand: Stand, report: Report) -> None:
    """`kill -9` of auth during 120 refreshes without a key, back after 14 s. No session ends, tried until answered."""
    auth = await stand.start("auth", database_connections=CONNECTIONS)
    async with client() as http:
        refreshes = await _simple_clients(http, auth.url, SESSIONS)
        going, lost = await _killed_during(stand, refreshes)
        await asyncio.sleep(OUTAGE_SECONDS)
        await stand.start("auth", port=auth.port)
        report.at_least(10, "answers lost of refreshes that were stored", lost)
        report.at_most(0, f"of {SESSIONS} sessions ended", await _ended(going))


@pytest.mark.slow
async def test_a_frozen_postgres_ends_no_session(stand: Stand, report: Report) -> None:
    """Postgres hangs for 16 s during 120 refreshes without a key. No session ends, tried again as Retry-After says."""
    auth = await stand.start("auth", database_connections=CONNECTIONS)
    async with client() as http:
        refreshes = await _simple_clients(http, auth.url, SESSIONS)
        going = await _under_way(stand, refreshes)
        await asyncio.to_thread(stand.freeze)
        frozen_at = datetime.now(UTC)
        await asyncio.sleep(0.5)
        answered = sum(task.done() for task in going)
        await asyncio.sleep(FREEZE_SECONDS)
        await asyncio.to_thread(stand.thaw)
        ended = await _ended(going)
        stored = await _execute(stand, "SELECT count(*) FROM sessions WHERE rotated_at < $1", frozen_at)
        report.at_least(5, "answers lost of refreshes that were stored", stored + ended - answered)
        report.at_most(0, f"of {SESSIONS} sessions ended", ended)


@pytest.mark.slow
async def test_with_a_key_a_long_outage_ends_no_session(stand: Stand, report: Report) -> None:
    """`kill -9` of auth during 120 refreshes with a key, back after 5 minutes: no session ends. Without a key, some do.

    Nobody waits for 5 minutes: while auth is away, the times in the rows of the sessions are moved back by so much.
    """
    auth = await stand.start("auth", database_connections=CONNECTIONS)
    async with client() as http:
        with_key = await _example_clients(http, auth.url, SESSIONS)
        without = await _simple_clients(http, auth.url, SESSIONS // 3)
        # mixed, so that both kinds are hit
        mixed = [
            each for four in zip(with_key[::3], with_key[1::3], with_key[2::3], without, strict=True) for each in four
        ]
        going, lost = await _killed_during(stand, mixed)
        await _execute(
            stand,
            "UPDATE sessions SET rotated_at = rotated_at - $1 * interval '1 s',"
            " last_used_at = last_used_at - $1 * interval '1 s', expires_at = expires_at - $1 * interval '1 s'",
            LONG_OUTAGE_SECONDS,
        )
        await stand.start("auth", port=auth.port)
        report.at_least(10, "answers lost of refreshes that were stored", lost)
        report.at_least(1, f"of {SESSIONS // 3} sessions ended without the key", await _ended(going[3::4]))
        report.at_most(0, f"of {SESSIONS} with it", await _ended([task for task in going if task not in going[3::4]]))


async def _killed_during(stand: Stand, refreshes: Sequence[Refresh]) -> tuple[list[asyncio.Task[bool]], int]:
    """Begin all refreshes, and kill auth in the middle of them.

    Returns:
        The refreshes, which go on trying, and how many of them were stored without an answer.
    """
    going = await _under_way(stand, refreshes)
    # what Postgres has been told, it finishes; then nobody is left to pass it on
    stand.services[0].process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.5)
    await stand.stop(stand.services[0], signal.SIGKILL)
    await asyncio.sleep(0.5)
    await _execute(stand, QUICK_COMMITS)
    answered = sum(task.done() for task in going)
    stored = await _execute(stand, "SELECT count(*) FROM sessions WHERE rotated_at IS NOT NULL")
    return going, stored - answered


async def _under_way(stand: Stand, refreshes: Sequence[Refresh]) -> list[asyncio.Task[bool]]:
    """Begin all refreshes, and return while as many as possible wait for their commit."""
    await _execute(stand, SLOW_COMMITS)
    going = [asyncio.create_task(refresh()) for refresh in refreshes]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(task.done() for task in going) < len(going) // 4:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)  # to the middle of the next commits
    return going


async def _ended(going: Sequence[asyncio.Task[bool]]) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await asyncio.gather(*going)).count(False)


async def _execute(stand: Stand, statement: str, *arguments: object) -> int:
    connection = await asyncpg.connect(stand.postgres.url("auth"))
    try:
        if arguments or statement.startswith("SELECT"):
            return await connection.fetchval(statement, *arguments) or 0
        await connection.execute(statement)
        return 0
    finally:
        await connection.close()


async def _simple_clients(http: ClientSession, auth: str, count: int) -> list[Refresh]:
    """Sign users up, each with a client that sends no key."""

    def made(token: str) -> Refresh:
        async def refresh() -> bool:
            while True:
                try:
                    async with http.post(f"{auth}/refresh", json={"refresh_token": token}) as answer:
                        await answer.read()
                        if answer.status in (200, 401):
                            return answer.status == 200
                        assert answer.status == 503
                        pause = float(answer.headers["Retry-After"])
                except (ClientError, TimeoutError):
                    pause = 1.0
                await asyncio.sleep(pause)

        return refresh

    return [made((await sign_up(http, auth))["refresh_token"]) for _ in range(count)]


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def _example_clients(http: ClientSession, auth: str, count: int) -> list[Refresh]:
    """Sign users up, each with the client from docs/examples/python, whose access token has expired."""
    clock = _Clock()

    async def made() -> Refresh:
        example = Client(http, auth, "", clock=clock)
        await example.log_in(await register(http, auth), PASSWORD)

        async def refresh() -> bool:
            while True:
                try:
                    await example.access_token()
                except Unavailable:
                    continue
                except SignedOut:
                    return False
                return True

        return refresh

    clients = [await made() for _ in range(count)]
    clock.now += 900
    return clients
