"""The connection pool: waits for Postgres, migrates, lends connections first come first served, and reports outages."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

import asyncpg

from shared.database.migrations import Migration, apply, grant
from shared.database.turns import Turns
from shared.errors import Busy, DatabaseUnavailable, StartupError, StorageFull

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
"""How long one statement may take before it is cancelled."""

TURN_SECONDS = 1.0
"""How long a request waits for a connection. Any longer, and its client is better served by another replica."""

WAIT_SECONDS = 5.0
"""Pause between attempts while the database can't be reached at start."""

# waiting at start doesn't fix these
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
# everything that asyncpg raises when the server is unreachable, goes away or refuses new work. InternalClientError is
# what a connection that dies in the middle of a message looks like
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

DATABASE_USED: ContextVar[bool] = ContextVar("database_used", default=False)
"""Whether the database was used since a request set this to False."""

Connection = asyncpg.pool.PoolConnectionProxy

_log = logging.getLogger(__name__)


class Database:
    """One service's Postgres.

    Args:
        dsn: Its URL, including the password; never shown.
        connections: The maximum number of connections.
        migrations: The migrations that make its schema.
        migrate: Whether `open` brings the schema up to date.
    """

    def __init__(self, dsn: str, *, connections: int, migrations: Sequence[Migration], migrate: bool) -> None:
        self._dsn = dsn
        self._connections = connections
        self._migrations = migrations
        self._migrate = migrate
        # asyncpg's own queue lets a newcomer overtake a waiter, and has no bound
        self._turns = Turns(connections, TURN_SECONDS, "No database connection")
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open for the duration of the block, and close afterwards."""
        await self.open()
        try:
            yield
        finally:
            await self.close()

    async def open(self) -> None:
        """Wait until the database answers, migrate if `migrate` was set, and make the pool.

        Raises:
            StartupError: the database refuses us (wrong password, unknown database), or a migration fails.
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
            # asyncpg's reset costs a round trip at every release. Nothing here changes a session's settings, and open
            # transactions are rolled back without it
            reset=_no_reset,
        )

    async def close(self) -> None:
        """Close every connection; those in use get a few seconds to finish."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and return the names of the migrations that ran.

        Raises:
            StartupError: as for `open`.
        """
        connection = await self._first_connection()
        try:
            return await apply(connection, self._migrations)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    async def grant(self, role: str, *, append_only: Sequence[str] = ()) -> None:
        """Let another role read and write all tables, but own none; it can only read and add to some of them.

        Raises:
            StartupError: there is no such role, it is this one, or this one doesn't own the tables.
        """
        connection = await self._first_connection()
        try:
            await grant(connection, role, append_only)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, first come first served.

        Raises:
            Busy: none becomes free within TURN_SECONDS, or the transaction conflicted with another.
            DatabaseUnavailable: the database is gone, or a statement took longer than STATEMENT_SECONDS.
            StorageFull: the database has no room to write.
        """
        assert self._pool is not None, "open() comes first"
        DATABASE_USED.set(True)
        began = await self._turns.take()
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except (asyncpg.DiskFullError, asyncpg.OutOfMemoryError) as error:
            _log.error("the database is full", exc_info=error)
            raise StorageFull(
                "The database has no room to write", hint="Ask the operator to free disk space."
            ) from error
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
            _log.warning("two transactions conflicted: %s", error)
            raise Busy(
                "Another request was changing the same data; nothing was done", data={"retry_after": 1}
            ) from error
        except (*_UNAVAILABLE, *_REFUSED) as error:
            if isinstance(error, ValueError | asyncpg.InsufficientPrivilegeError):
                raise  # a value or statement that Postgres can't accept is a bug in our code, not an outage
            _log.warning("the database is unavailable: %s: %s", type(error).__name__, error)
            raise DatabaseUnavailable("The database can't be reached right now", data={"retry_after": 1}) from error
        finally:
            self._turns.give_back(began)

    def share(self, part: int, seconds: float, name: str) -> "Share":
        """Return a share of the connections: one in `part`, but at least one. See Share for the rest."""
        return Share(self, max(1, self._connections // part), seconds, name)

    async def check(self) -> None:
        """Check that the database responds.

        Raises:
            Busy, DatabaseUnavailable: it doesn't.
        """
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def _first_connection(self) -> asyncpg.Connection:
        while True:
            try:
                return await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS, command_timeout=None)
            except _REFUSED as error:
                raise StartupError(
                    f"the database refused the connection: {error}; check DATABASE_URL and the password"
                ) from None
            except ValueError:  # its message may quote part of the password
                raise StartupError(
                    "DATABASE_URL can't be parsed; it must look like postgresql://user@host:5432/database, with"
                    " special characters of the password percent-encoded"
                ) from None
            except _UNAVAILABLE as error:
                reason = str(error) or type(error).__name__
                _log.warning("waiting for the database (%s); trying again in %.0f s", reason, WAIT_SECONDS)
                await asyncio.sleep(WAIT_SECONDS)


class Share:
    """A small number of a database's connections, for statements that take long, so that they never take all of them.

    Nobody is refused before `seconds` have passed: clients that try again at once are quieter while they wait.

    Args:
        database: The database.
        connections: How many connections it lends at the same time.
        seconds: How long a request waits for one of them.
        name: What it is for; the error names it.
    """

    def __init__(self, database: Database, connections: int, seconds: float, name: str) -> None:
        self._database = database
        self._turns = asyncio.Semaphore(connections)
        self._seconds = seconds
        self._name = name

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, first come first served.

        Raises:
            Busy: none of the share became free in time.
            Busy, DatabaseUnavailable, StorageFull: as for `Database.connection`.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy(
                f"No database connection for a {self._name} became free within {self._seconds:.0f} s",
                data={"retry_after": math.ceil(self._seconds)},
            ) from None
        try:
            async with self._database.connection() as connection:
                yield connection
        finally:
            self._turns.release()


async def _plan_each_time(connection: asyncpg.Connection) -> None:
    # after five executions Postgres may settle on one plan for all values, and a good plan for a frequent word is a bad
    # one for a rare word. JIT compilation costs more than any statement here
    await connection.execute("SET plan_cache_mode = force_custom_plan; SET jit = off")


async def _no_reset(_: asyncpg.Connection) -> None:
    pass
