"""Migrations, waiting for a connection, and outages of the database."""

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from shared.database.connector import Connector
from shared.database.migrations import Migration, migrations_in
from shared.database.pool import Database
from shared.database.probe import KEPT_SECONDS
from shared.errors import Busy, DatabaseUnavailable, StartupError
from tests import pgbouncer
from tests.postgres import Server

TABLE = Migration(1, "0001_table", "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")


def database(url: str, *migrations: Migration, connections: int = 2) -> Database:
    """A database that runs its migrations when it is opened."""
    return Database(url, connections=connections, statement_cache=100, migrations=migrations, migrate=True)


async def use(db: Database) -> None:
    """Borrow a connection and read something."""
    async with db.connection() as connection:
        await connection.execute("SELECT 1")


async def write(db: Database) -> None:
    """Borrow a connection and write something."""
    async with db.connection() as connection:
        await connection.execute("INSERT INTO things VALUES (3)")


async def test_many_replicas_migrate_once(database_url: str) -> None:
    """When several replicas start at once, each migration runs once."""
    ran = await asyncio.gather(*(database(database_url, TABLE).migrate() for _ in range(8)))
    assert sorted(ran) == [[]] * 7 + [["0001_table"]]


async def test_a_failed_migration_is_rolled_back(database_url: str) -> None:
    """A migration runs completely or not at all, and the error names it."""
    broken = Migration(2, "0002_broken", "CREATE TABLE half (id int); SELECT nonsense")
    with pytest.raises(StartupError, match="0002_broken"):
        await database(database_url, TABLE, broken).migrate()
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    assert await connection.fetchval("SELECT max(version) FROM schema_migrations") == 1
    await connection.close()


async def test_an_edited_migration_is_noticed(database_url: str) -> None:
    """A service does not start if a migration was edited after it ran."""
    await database(database_url, TABLE).migrate()
    with pytest.raises(StartupError, match="edited after it ran"):
        await database(database_url, Migration(1, "0001_table", "SELECT 1")).migrate()


def test_migrations_have_no_gap(tmp_path: Path) -> None:
    """Migrations must be numbered without a gap."""
    for name in ("0001_a.sql", "0003_b.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StartupError, match="without a gap"):
        migrations_in(tmp_path)


async def test_turns_are_taken_in_order(database_url: str) -> None:
    """Connections are lent first come, first served."""
    db = database(database_url, connections=1)
    await db.open()
    served: list[int] = []

    async def borrow(number: int) -> None:
        async with db.connection() as connection:
            await connection.execute("SELECT 1")
            served.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(30):
            tasks.create_task(borrow(number))
            await asyncio.sleep(0)
    await db.close()
    assert served == list(range(30))


async def test_waiting_for_a_connection_times_out(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that gets no connection in time is told to retry, and the connection is not lost."""
    monkeypatch.setattr("shared.database.pool.TURN_SECONDS", 0.05)
    db = database(database_url, connections=1)
    await db.open()
    async with db.connection():
        with pytest.raises(Busy) as error:
            await use(db)
        assert error.value.data["retry_after"]
    await use(db)
    await db.close()


async def test_the_check_does_not_wait_for_requests(database_url: str) -> None:
    """The check needs none of the connections that requests wait for, and many callers cost one query a second."""
    db = database(database_url, connections=1)
    await db.open()
    async with db.connection():
        await db.check()
        assert db._probe._connection is not None
        queries: list[object] = []
        db._probe._connection.add_query_logger(queries.append)
        now = time.monotonic() + KEPT_SECONDS
        db._probe._clock = lambda: now
        for _ in range(2):
            await asyncio.gather(*(db.check() for _ in range(100)))
        assert len(queries) == 1
    await db.close()


async def test_the_check_comes_back_after_its_connection_is_lost(database_url: str) -> None:
    """When the server closes the connection of the check, the next check that isn't answered from memory reconnects."""
    db = database(database_url)
    await db.open()
    await db.check()
    assert db._probe._connection is not None
    async with db.connection() as connection:
        await connection.execute("SELECT pg_terminate_backend($1)", db._probe._connection.get_server_pid())
    now = time.monotonic()
    db._probe._clock = lambda: now + KEPT_SECONDS + 60
    with suppress(DatabaseUnavailable):  # it may not know yet
        await db.check()
    db._probe._clock = lambda: now + 2 * (KEPT_SECONDS + 60)
    await db.check()
    await db.close()


async def test_the_end_of_read_only_mode_is_noticed(database_url: str) -> None:
    """Sessions from a read-only time are not used after it, and the check says that the database is read-only."""
    admin = await asyncpg.connect(database_url)
    name = await admin.fetchval("SELECT quote_ident(current_database())")
    db = database(database_url, TABLE)
    await db.open()
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(4):
        with pytest.raises(DatabaseUnavailable):
            await write(db)
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await db.check()
    await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with suppress(DatabaseUnavailable):  # on one of the old sessions
        await write(db)
    db._probe.forget()  # instead of waiting for a second
    await write(db)
    await db.check()
    await db.close()
    await admin.close()


async def test_a_changed_column_is_no_server_error(database_url: str) -> None:
    """A statement in a transaction that was prepared before a column changed its type fails once, with 503."""
    db = database(database_url, TABLE, connections=1)
    await db.open()

    async def read() -> None:
        async with db.connection() as connection, connection.transaction():
            await connection.fetch("SELECT id FROM things")

    await read()
    async with db.connection() as connection:
        await connection.execute("ALTER TABLE things ALTER COLUMN id TYPE bigint")
    with pytest.raises(DatabaseUnavailable, match="schema"):
        await read()
    await read()
    await db.close()


async def test_a_missing_privilege_is_named_in_the_log(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """If the role lacks a privilege, clients get 503, and the log says which table it is about."""
    db = database(database_url, TABLE)
    await db.open()
    with pytest.raises(DatabaseUnavailable) as error:
        async with db.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL ROLE pg_monitor; SELECT * FROM things")
    assert "things" not in str(error.value)
    assert "permission denied for table things" in caplog.text
    await db.close()


async def test_a_host_that_does_not_answer_is_passed_over(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several hosts, one that accepts connections but never answers costs its part of the time, and only once."""
    monkeypatch.setattr("shared.database.connector.CONNECT_SECONDS", 0.6)
    parts = urlsplit(database_url)
    where = parse_qs(parts.query)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hosts = f"127.0.0.1:{silent.getsockname()[1]}"
        if "host" in where:
            working = f"{quote(where['host'][0], safe='')}:{where['port'][0]}"
        else:
            working = parts.netloc.rpartition("@")[2]
        user = parts.netloc.rpartition("@")[0] or parts.username or ""
        connector = Connector(
            parts._replace(netloc=f"{user}@{hosts},{working}", query="target_session_attrs=primary").geturl(), 100
        )
        await (await connector.connect()).close()
        silent.settimeout(0)
        silent.accept()[0].close()
        await (await connector.connect()).close()
        with pytest.raises(BlockingIOError):
            silent.accept()


@pytest.mark.slow
async def test_a_deadlock_is_not_a_server_error(database_url: str) -> None:
    """When two transactions deadlock, one is told to retry and the other succeeds."""
    db = database(database_url, TABLE)
    await db.open()
    async with db.connection() as connection:
        await connection.execute("INSERT INTO things VALUES (2)")
    both = asyncio.Barrier(2)

    async def update(first: int, second: int) -> None:
        async with db.connection() as connection, connection.transaction():
            await connection.execute("UPDATE things SET id = id WHERE id = $1", first)
            await both.wait()
            await connection.execute("UPDATE things SET id = id WHERE id = $1", second)

    results = await asyncio.gather(update(1, 2), update(2, 1), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Busy]
    await db.close()


async def test_the_pool_recovers_when_the_server_closes_a_connection(
    database_url: str,
) -> None:
    """A connection that the server closes causes one 503 at most; the next request gets a new connection."""
    db = database(database_url, connections=1)
    await db.open()
    killer = await asyncpg.connect(database_url)
    async with db.connection() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    with pytest.raises(DatabaseUnavailable):
        async with db.connection() as connection:
            await killer.execute("SELECT pg_terminate_backend($1)", pid)
            await connection.execute("SELECT pg_sleep(10)")
    await use(db)
    await killer.close()
    await db.close()


async def test_a_dropped_database_is_unavailable(database_server: Server) -> None:
    """Requests to a database that was dropped get 503, not 500."""
    url = await database_server.create_database()
    db = database(url)
    await db.open()
    await database_server.drop_database(url)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await use(db)
        with pytest.raises(DatabaseUnavailable):
            await db.check()
    await db.close()


async def test_an_unknown_database_stops_the_start(database_url: str) -> None:
    """If the database does not exist, the service does not wait but says which setting to check."""
    with pytest.raises(StartupError, match="DATABASE_URL"):
        await database(database_url.replace("test_", "nowhere_")).open()


async def test_a_database_that_is_not_up_yet_is_waited_for(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the database can't be reached, the service keeps trying and logs each attempt, without the password."""
    monkeypatch.setattr("shared.database.pool.WAIT_SECONDS", 0.01)
    opening = asyncio.create_task(database(f"postgresql://u:secret@127.0.0.1:{unused_tcp_port}/d").open())
    while len(caplog.records) < 3:
        await asyncio.sleep(0.01)
    opening.cancel()
    assert all("waiting for the database" in record.message for record in caplog.records)
    assert "secret" not in caplog.text


async def test_before_it_is_open_the_database_is_unavailable(unused_tcp_port: int) -> None:
    """While the database is waited for, requests and the check are told so."""
    db = database(f"postgresql://u@127.0.0.1:{unused_tcp_port}/d")
    opening = asyncio.create_task(db.open())
    async with asyncio.timeout(10):
        while True:
            with pytest.raises(DatabaseUnavailable) as error:
                await db.check()
            if "waiting for its database" in str(error.value):
                break
            await asyncio.sleep(0.01)
    with pytest.raises(DatabaseUnavailable):
        await use(db)
    opening.cancel()


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:{port}/d", "postgresql://u:secret@nowhere.invalid/d"])
async def test_a_command_gives_up(url: str, unused_tcp_port: int) -> None:
    """A command that may not wait ends at once if the database can't be reached, also if its host doesn't exist."""
    with pytest.raises(StartupError, match="gave up after 0 s; check DATABASE_URL") as error:
        await database(url.format(port=unused_tcp_port)).migrate(wait=0)
    assert "secret" not in str(error.value)


@pytest.mark.direct
async def test_a_pooler_that_refuses_settings_is_named(database_url: str) -> None:
    """With prepared statements behind PgBouncer, the start ends with the setting to change."""
    if pgbouncer.executable() is None:
        pytest.skip("needs PgBouncer")
    with pgbouncer.pooling(database_url) as folder:
        url = pgbouncer.through(folder, database_url)
        with pytest.raises(StartupError, match="DATABASE_STATEMENT_CACHE=0"):
            await database(url).open()
