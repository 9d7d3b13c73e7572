"""Migrations, waiting for a connection, and outages of the database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from shared.database.migrations import Migration, migrations_in
from shared.database.pool import Database
from shared.errors import Busy, DatabaseUnavailable, StartupError
from tests.postgres import Server

TABLE = Migration(1, "0001_table", "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")


def database(url: str, *migrations: Migration, connections: int = 2) -> Database:
    """A database that runs its migrations when it is opened."""
    return Database(url, connections=connections, statement_cache=100, migrations=migrations, migrate=True)


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
            await db.check()
        assert error.value.data["retry_after"]
    await db.check()
    await db.close()


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
    await db.check()
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
