"""The life of a connection pool: wait for Postgres, migrate, hand out connections in turn, say when it is gone."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiohttp import web

from shared.errors import Busy, DatabaseUnavailable, StartupError, StorageFull

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
"""How long one statement may take before it is cancelled."""

TURN_SECONDS = 5.0
"""How long a request waits for its turn at a connection."""

WAIT_SECONDS = 5.0
"""Pause between two tries while the database can't be reached at start."""

# an arbitrary number that all replicas of a service use for the lock under which they migrate
_MIGRATION_LOCK = 0x6D696772

# what no amount of waiting mends at start
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
# all that asyncpg raises when the server is not there, goes away, or refuses new work. InternalClientError is no
# PostgresError: a connection that dies in the middle of a message shows as one
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)

ASKED: ContextVar[bool] = ContextVar("asked", default=False)
"""Whether the database was asked for anything since a request set this to False."""

Connection = asyncpg.pool.PoolConnectionProxy

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What tells a migration that was edited after it ran."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(folder: Path) -> list[Migration]:
    """Read `0001_name.sql`, `0002_….sql`, … in their order.

    Raises:
        StartupError: the numbers have a gap or a double.
    """
    found = [
        Migration(int(path.stem.split("_")[0]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.sql"))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise StartupError(f"the migrations in {folder.name} are not numbered 0001, 0002, … without a gap")
    return found


class Database:
    """One service's Postgres.

    Args:
        dsn: Where it is, password included; never shown.
        connections: Most connections at a time.
        migrations: What its schema is made of.
        migrate: Whether `open` brings the schema up to date.
    """

    def __init__(self, dsn: str, *, connections: int, migrations: Sequence[Migration], migrate: bool) -> None:
        self._dsn = dsn
        self._connections = connections
        self._migrations = migrations
        self._migrate = migrate
        # asyncpg's own queue lets a late-comer overtake a waiter; a semaphore is first come, first served
        self._turns = asyncio.Semaphore(connections)
        self._pool: asyncpg.Pool | None = None

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """A cleanup context of the application: open before it serves, close after its last request."""
        await self.open()
        try:
            yield
        finally:
            await self.close()

    async def open(self) -> None:
        """Wait until the database answers, migrate if asked to, and make the pool.

        Raises:
            StartupError: it answers, but not to us: wrong password, unknown database, a migration that fails.
        """
        connection = await self._first_connection()
        try:
            if self._migrate:
                await apply(connection, self._migrations)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=self._connections,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            init=_plan_each_time,
            # asyncpg's reset costs a round trip at every release. Nothing here changes a session's settings, and an
            # open transaction is rolled back without it
            reset=_no_reset,
        )

    async def close(self) -> None:
        """Close every connection; those in use are given a few seconds."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and return the names of the migrations that ran.

        Raises:
            StartupError: as `open` does.
        """
        connection = await self._first_connection()
        try:
            return await apply(connection, self._migrations)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, in the order in which they were asked for.

        Raises:
            Busy: no turn came within TURN_SECONDS.
            DatabaseUnavailable: the database is gone, or a statement took longer than STATEMENT_SECONDS.
            StorageFull: it has no room to write.
        """
        assert self._pool is not None, "open() comes first"
        ASKED.set(True)
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy(
                f"No database connection was free within {TURN_SECONDS:.0f} s", retry_after=int(TURN_SECONDS)
            ) from None
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except (asyncpg.DiskFullError, asyncpg.OutOfMemoryError) as error:
            _log.error("the database is full", exc_info=error)
            raise StorageFull("The database has no room to write", hint="The operator must make room.") from error
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
            _log.warning("two transactions were in each other's way: %s", error)
            raise Busy("Others were changing the same; nothing was done", retry_after=1) from error
        except (*_UNAVAILABLE, *_REFUSED) as error:
            if isinstance(error, ValueError | asyncpg.InsufficientPrivilegeError):
                raise  # a value or a statement of ours that does not fit: a fault in the code, not in the database
            _log.warning("the database is unavailable: %s: %s", type(error).__name__, error)
            raise DatabaseUnavailable("The database can't be reached right now", retry_after=1) from error
        finally:
            self._turns.release()

    async def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Busy, DatabaseUnavailable: it gave none.
        """
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def _first_connection(self) -> asyncpg.Connection:
        while True:
            try:
                return await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS, command_timeout=None)
            except _REFUSED as error:
                raise StartupError(f"the database refuses us: {error}; check DATABASE_URL and the password") from None
            except ValueError:  # its text may quote a piece of the password
                raise StartupError(
                    "DATABASE_URL can't be understood; it must look like postgresql://user@host:5432/database, with"
                    " special characters of the password percent-encoded"
                ) from None
            except _UNAVAILABLE as error:
                reason = str(error) or type(error).__name__
                _log.warning("waiting for the database (%s); next try in %.0f s", reason, WAIT_SECONDS)
                await asyncio.sleep(WAIT_SECONDS)


async def apply(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[str]:
    """Run the migrations that have not run yet, each in a transaction, and return their names.

    Many replicas may do this at once: each migration takes the same advisory lock and looks again under it.

    Raises:
        StartupError: a migration fails, or one that has run was edited since.
    """
    ran = []
    for migration in migrations:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name text NOT NULL,"
                " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            known = await connection.fetchval(
                "SELECT checksum FROM schema_migrations WHERE version = $1", migration.version
            )
            if known is None:
                try:
                    await connection.execute(migration.sql)
                except asyncpg.PostgresError as error:
                    raise StartupError(f"the migration {migration.name} fails: {error}") from None
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
                _log.info("migrated to %s", migration.name)
                ran.append(migration.name)
            elif known != migration.checksum:
                raise StartupError(
                    f"the migration {migration.name} was edited after it ran here; restore it and add a new one"
                )
    return ran


async def _plan_each_time(connection: asyncpg.Connection) -> None:
    # after five executions Postgres may take one plan for all values from then on, and one for a frequent word is none
    # for a rare one. And it would compile what it takes for expensive, which costs more than any statement here
    await connection.execute("SET plan_cache_mode = force_custom_plan; SET jit = off")


async def _no_reset(_: asyncpg.Connection) -> None:
    pass
