"""What can happen to a database besides a crash: overload, locks, read-only mode, failover, changes by others."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout

from dev.postgres import Postgres
from dev.service_process import Service
from shared.database.pool import WAIT_SECONDS
from tests import pgbouncer
from tests.faults.ledger import Ledger
from tests.faults.report import Report
from tests.faults.stand import Stand, client, sign_up

PROBES = 80
PROBE_PAUSE_SECONDS = 0.1
FULL_SECONDS = 6.0
"""After so long, requests that wait for a connection have begun to give up."""

WRITERS = 10
SOON_SECONDS = 5.0


async def test_readiness_with_ten_times_the_load(stand: Stand, report: Report) -> None:
    """With ten times as many writes as the database can do, a service that works stays ready."""
    posts, token = await _posts_and_token(stand)
    async with _as_superuser(stand, "posts") as admin, client() as http:
        # ten connections, half a second each: 20 writes a second
        await admin.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;"
            " CREATE TRIGGER slow BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        async with _load(http, posts, token, per_second=200) as statuses:
            await asyncio.sleep(FULL_SECONDS)
            await _probe(http, posts, report)
    report.at_least(1, "written meanwhile", statuses[201])
    report.at_least(1, "writes refused as busy, so the queue was full", statuses[503])


async def test_readiness_under_a_table_lock(stand: Stand, report: Report) -> None:
    """While someone holds a lock on the table and all connections wait for it, the service stays ready."""
    posts, token = await _posts_and_token(stand)
    async with _as_superuser(stand, "posts") as admin, client() as http:
        async with admin.transaction():
            await admin.execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
            async with _load(http, posts, token, per_second=20) as statuses:
                await asyncio.sleep(FULL_SECONDS)
                await _probe(http, posts, report)
        report.at_least(1, "writes refused as busy, so the queue was full", statuses[503])


async def test_readiness_follows_an_outage(stand: Stand, report: Report) -> None:
    """Readiness answers 503 soon after Postgres is killed, and 200 soon after it is back."""
    posts = await stand.start("posts")
    async with client() as http:
        await asyncio.to_thread(stand.kill_postgres)
        report.at_most(3, "until readiness said so", await _until_ready(http, posts, 503), "s")
        assert "can't be reached" in (await _readiness(http, posts))["detail"]
        await asyncio.to_thread(stand.postgres.start)
        report.at_most(3, "until readiness was back", await _until_ready(http, posts, 200), "s")


async def test_a_start_without_a_database(stand: Stand, report: Report) -> None:
    """A service that starts before its database answers at once, says what it waits for, and begins when it can."""
    _, token = await _posts_and_token(stand)
    await asyncio.to_thread(stand.kill_postgres)
    posts = await stand.start("posts", ready=False)
    async with client() as http:
        ledger = Ledger()
        report.at_most(15, "until it answered", await _until_answered(http, posts, "/health/live", 200), "s")
        await _until_answered(http, posts, "/health/ready", 503)
        assert "waiting for its database" in (await _readiness(http, posts))["detail"]
        assert await ledger.write(http, posts.url, token, "too early") == 503
        assert await _until_answered(http, posts, "/health/live", 200) < 1
        await asyncio.to_thread(stand.postgres.start)
        waited = await _until_ready(http, posts, 200)
        report.at_most(WAIT_SECONDS + 2, "until it was ready", waited, "s")
        assert await ledger.write(http, posts.url, token, "now") == 201


async def test_the_end_of_read_only_mode(stand: Stand, report: Report) -> None:
    """In read-only mode, readiness says so; soon after its end, all writes work, without a restart."""
    posts, token = await _posts_and_token(stand)
    async with _as_superuser(stand) as admin, client() as http:
        ledger = Ledger()
        assert await ledger.write(http, posts.url, token, "before") == 201
        await admin.execute("ALTER DATABASE posts SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'posts'")
        # all connections of the pool
        refused = await asyncio.gather(*(ledger.write(http, posts.url, token, f"{number}") for number in range(30)))
        report.at_least(30, "refused", refused.count(503), "writes")
        assert await _until_ready(http, posts, 503) < SOON_SECONDS
        assert "read-only" in (await _readiness(http, posts))["detail"]
        await admin.execute("ALTER DATABASE posts RESET default_transaction_read_only")
        report.at_most(SOON_SECONDS, "until writes worked", await _until_all_write(http, posts, token, ledger), "s")
        report.at_most(SOON_SECONDS, "until readiness was back", await _until_ready(http, posts, 200), "s")


async def test_a_failover_to_a_standby(stand: Stand, report: Report) -> None:
    """When the primary is killed and its standby promoted, writes work within five seconds, without a restart."""
    await asyncio.to_thread(stand.postgres.start) if stand.postgres.process is None else None
    standby: Postgres = await asyncio.to_thread(stand.postgres.make_standby, stand.folder / "standby")
    with standby.started():
        url = f"postgresql://posts@{_host(stand.postgres)},{_host(standby)}/posts?target_session_attrs=primary"
        auth = await stand.start("auth")
        posts = await stand.start("posts", url=url)
        async with client() as http:
            token = (await sign_up(http, auth.url))["access_token"]
            ledger = Ledger()
            await asyncio.gather(*(ledger.write(http, posts.url, token, f"before {n}") for n in range(30)))
            await asyncio.to_thread(stand.kill_postgres)
            assert await ledger.write(http, posts.url, token, "without a primary") == 503
            async with _connected(standby.url()) as admin:
                await admin.fetchval("SELECT pg_promote()")
            report.at_most(SOON_SECONDS, "until writes worked", await _until_all_write(http, posts, token, ledger), "s")
            report.at_most(SOON_SECONDS, "until readiness was back", await _until_ready(http, posts, 200), "s")
        await stand.stop(posts)


async def test_a_column_changes_its_type(stand: Stand, report: Report) -> None:
    """While a column that /refresh returns changes its type ten times, nobody gets a 500."""
    auth = await stand.start("auth")
    statuses = Counter[int]()
    done = asyncio.Event()

    async def refresh(token: str) -> None:
        while not done.is_set():
            async with http.post(f"{auth.url}/refresh", json={"refresh_token": token}) as answer:
                statuses[answer.status] += 1
                if answer.status == 200:
                    token = (await answer.json())["refresh_token"]

    async with _as_superuser(stand, "auth") as admin, client() as http:
        tokens = [(await sign_up(http, auth.url))["refresh_token"] for _ in range(WRITERS)]
        refreshing = [asyncio.create_task(refresh(token)) for token in tokens]
        for number in range(10):
            await asyncio.sleep(0.3)
            await admin.execute(f"ALTER TABLE users ALTER COLUMN name TYPE varchar({500 + number})")
        await asyncio.sleep(0.3)
        done.set()
        await asyncio.gather(*refreshing)
    report.at_least(50, "refreshed", statuses[200])
    report.at_most(0, "of 500", statuses[500])
    report.note("of 503", statuses[503])


async def test_a_revoked_privilege(stand: Stand, report: Report) -> None:
    """If the role may no longer write a table, clients get 503, the log names the table, and reading goes on."""
    posts, token = await _posts_and_token(stand)
    async with _as_superuser(stand, "posts") as admin, client() as http:
        ledger = Ledger()
        await ledger.write(http, posts.url, token, "before")
        await admin.execute("REVOKE INSERT ON posts FROM posts")
        refused = [await ledger.write(http, posts.url, token, f"{number}") for number in range(20)]
        report.at_least(20, "of 503", refused.count(503))
        async with http.get(f"{posts.url}/posts", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200
        log = stand.log_of("posts", posts.port).read_text()
        report.at_least(1, "lines in the log that name the table", log.count("permission denied for table posts"))
        await admin.execute("GRANT INSERT ON posts TO posts")
        assert await ledger.write(http, posts.url, token, "after") == 201


async def test_behind_pgbouncer(stand: Stand, report: Report) -> None:
    """Through PgBouncer in transaction mode, with fewer servers than connections, no request fails."""
    with pgbouncer.pooling(stand.postgres.url()) as folder:
        auth, posts = [
            await stand.start(name, url=pgbouncer.through(folder, stand.postgres.url(name)), database_statement_cache=0)
            for name in ("auth", "posts")
        ]
        statuses = Counter[int | None]()

        async def work() -> None:
            token = (await sign_up(http, auth.url))["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            for number in range(20):
                statuses[await ledger.write(http, posts.url, token, f"text {number}")] += 1
                for query in ("", "?author=me", "?q=some", "?tag=x&q=text"):
                    async with http.get(f"{posts.url}/posts{query}", headers=headers) as answer:
                        statuses[answer.status] += 1

        ledger = Ledger()
        async with client() as http:
            await asyncio.gather(*(work() for _ in range(WRITERS)))
            assert (await _readiness(http, posts))["status"] == "ready"
        for service in (auth, posts):
            await stand.stop(service)
    report.at_least(WRITERS * 100, "answered", statuses[200] + statuses[201])
    report.at_most(0, "failed", statuses.total() - statuses[200] - statuses[201])


async def _posts_and_token(stand: Stand) -> tuple[Service, str]:
    auth = await stand.start("auth")
    posts = await stand.start("posts")
    async with client() as http:
        return posts, (await sign_up(http, auth.url))["access_token"]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _as_superuser(stand: Stand, database: str = "postgres") -> AbstractAsyncContextManager[asyncpg.Connection]:
    return _connected(urlsplit(stand.postgres.url())._replace(path=f"/{database}").geturl())


def _host(postgres: Postgres) -> str:
    where = parse_qs(urlsplit(postgres.url()).query)
    return f"{quote(where['host'][0], safe='')}:{where['port'][0]}"


@asynccontextmanager
async def _load(http: ClientSession, posts: Service, token: str, *, per_second: int) -> AsyncIterator[Counter[int]]:
    """Write at a fixed rate, whether or not there are answers, for the duration of the block."""
    statuses, ledger, writes = Counter[int](), Ledger(), set[asyncio.Task[None]]()

    async def write(number: int) -> None:
        statuses[await ledger.write(http, posts.url, token, f"{number}") or 0] += 1

    async def start() -> None:
        number = 0
        while True:
            number += 1
            writes.add(asyncio.create_task(write(number)))
            await asyncio.sleep(1 / per_second)

    starting = asyncio.create_task(start())
    try:
        yield statuses
    finally:
        starting.cancel()
        for task in writes:
            task.cancel()
        await asyncio.wait([starting, *writes])


async def _probe(http: ClientSession, posts: Service, report: Report) -> None:
    """Ask for readiness again and again, as many orchestrators would."""
    seconds: list[float] = []
    ready = 0
    for _ in range(PROBES):
        started = time.perf_counter()
        async with http.get(f"{posts.url}/health/ready") as answer:
            await answer.read()
            ready += answer.status == 200
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(PROBE_PAUSE_SECONDS)
    report.at_least(PROBES, f"of {PROBES} probes answered 200", ready)
    report.at_most(2, "the slowest probe", max(seconds), "s")
    report.note("p95 of the probes", sorted(seconds)[math.ceil(0.95 * PROBES) - 1] * 1000, "ms")


async def _readiness(http: ClientSession, service: Service) -> dict[str, str]:
    async with http.get(f"{service.url}/health/ready", timeout=ClientTimeout(10)) as answer:
        found: dict[str, str] = await answer.json()
        return found


async def _until(holds: Callable[[], Awaitable[bool]]) -> float:
    """Return the seconds until something holds; at most 30."""
    started = time.perf_counter()
    while not await holds():
        if time.perf_counter() - started > 30:
            break
        await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def _until_ready(http: ClientSession, service: Service, status: int) -> float:
    return await _until_answered(http, service, "/health/ready", status)


async def _until_answered(http: ClientSession, service: Service, path: str, status: int) -> float:
    async def answered() -> bool:
        try:
            async with http.get(f"{service.url}{path}", timeout=ClientTimeout(10)) as answer:
                return answer.status == status
        except (ClientError, TimeoutError):
            return False

    return await _until(answered)


async def _until_all_write(http: ClientSession, posts: Service, token: str, ledger: Ledger) -> float:
    """Return the seconds until as many writes at once as there are connections succeed."""
    rounds = 0

    async def written() -> bool:
        nonlocal rounds
        rounds += 1
        titles = [f"round {rounds}, {number}" for number in range(WRITERS)]
        return set(await asyncio.gather(*(ledger.write(http, posts.url, token, title) for title in titles))) == {201}

    return await _until(written)
