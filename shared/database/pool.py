"""The connection pool: waits for Postgres, migrates, lends connections first come first served, and reports outages."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

import asyncpg

from shared.database.connector import CONNECT_SECONDS, Connector
from shared.database.migrations import Migration, apply, grant
from shared.database.probe import Probe
from shared.database.turns import Turns
from shared.errors import Busy, DatabaseUnavailable, StartupError, StorageFull

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
)
# a statement that was prepared before a migration changed the type of a column
_SCHEMA_CHANGED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)

DATABASE_USED: ContextVar[bool] = ContextVar("database_used", default=False)
"""Whether the database was used since a request set this to False."""

Connection = asyncpg.pool.PoolConnectionProxy

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Database:
    """One service's Postgres.

    Args:
        dsn: Its URL, including the password; never shown.
        connections: The maximum number of connections that are lent. `check` uses one more.
        statement_cache: How many prepared statements each of them keeps.
        migrations: The migrations that make its schema.
        migrate: Whether `open` brings the schema up to date.
    """

    def __init__(
        self, dsn: str, *, connections: int, statement_cache: int, migrations: Sequence[Migration], migrate: bool
    ) -> None:
        self._connector = Connector(dsn, statement_cache)
        self._connections = connections
        self._migrations = migrations
        self._migrate = migrate
        # asyncpg's own queue lets a newcomer overtake a waiter, and has no bound
        self._turns = Turns(connections, TURN_SECONDS, "No database connection")
        self._pool: asyncpg.Pool | None = None
        self._probe = Probe(self._connector.connect, (*_UNAVAILABLE, *_REFUSED))
        self._not_open = "The database has not been opened yet"

    @asynccontextmanager
    async def opened(self, wait: float | None = None) -> AsyncIterator[None]:
        """Open for the duration of the block, and close afterwards; `wait` is as for `open`."""
        await self.open(wait)
        try:
            yield
        finally:
            await self.close()

    async def open(self, wait: float | None = None) -> None:
        """Wait until the database answers, migrate if `migrate` was set, and make the pool.

        Until then, `connection` and `check` raise DatabaseUnavailable.

        Args:
            wait: How many seconds to wait; None to wait as long as it takes.

        Raises:
            StartupError: the database refuses us (wrong password, unknown database) or does not answer in time, or a
                migration fails.
        """

        async def prepare(connection: asyncpg.Connection) -> asyncpg.Pool:
            if self._migrate:
                self._not_open = "The database is being migrated"
                await apply(connection, self._migrations)
            return await asyncpg.create_pool(
                connect=self._connector.connect,
                min_size=1,
                max_size=self._connections,
                command_timeout=STATEMENT_SECONDS,
                # asyncpg's reset costs a round trip at every release. Nothing here changes a session's settings, and
                # open transactions are rolled back without it
                reset=_no_reset,
            )

        self._pool = await self._once_reachable(prepare, wait)

    async def close(self) -> None:
        """Close every connection; those in use get a few seconds to finish."""
        await self._probe.close()
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def migrate(self, wait: float | None = None) -> list[str]:
        """Bring the schema up to date and return the names of the migrations that ran; `wait` is as for `open`.

        Raises:
            StartupError: as for `open`.
        """
        return await self._once_reachable(lambda connection: apply(connection, self._migrations), wait)

    async def grant(self, role: str, *, append_only: Sequence[str] = (), wait: float | None = None) -> None:
        """Let another role read and write all tables, but own none; it can only read and add to some of them.

        Raises:
            StartupError: there is no such role, it is this one, or this one doesn't own the tables; or as for `open`.
        """
        await self._once_reachable(lambda connection: grant(connection, role, append_only), wait)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, first come first served.

        Raises:
            Busy: none becomes free within TURN_SECONDS, or the transaction conflicted with another.
            DatabaseUnavailable: the database is not open yet, gone, read-only, or has just changed its schema, this
                role lacks a privilege, or a statement took longer than STATEMENT_SECONDS.
            StorageFull: the database has no room to write.
        """
        pool = self._opened_pool()
        DATABASE_USED.set(True)
        began = await self._turns.take()
        try:
            async with pool.acquire(timeout=CONNECT_SECONDS) as connection:
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
        except asyncpg.ReadOnlySQLTransactionError as error:
            # a session stays read-only after the database's default has changed back, so none of them is used again
            await pool.expire_connections()
            self._probe.forget()
            _log.warning("the database is read-only: %s", error)
            raise DatabaseUnavailable(
                "The database is read-only at the moment; nothing was changed", data={"retry_after": 1}
            ) from error
        except _SCHEMA_CHANGED as error:
            _log.warning("the schema changed under a prepared statement: %s", error)
            raise DatabaseUnavailable("The database's schema has just changed", data={"retry_after": 1}) from error
        except asyncpg.InsufficientPrivilegeError as error:
            _log.error("the database role lacks a privilege: %s; GRANT it, or run `migrate --grant-to` again", error)
            raise DatabaseUnavailable(
                "The service lacks a privilege on its database",
                hint="Ask the operator; the log names the privilege.",
                data={"retry_after": 60},
            ) from error
        except (*_UNAVAILABLE, *_REFUSED) as error:
            if isinstance(error, ValueError):
                raise  # a value that Postgres can't accept is a bug in our code, not an outage
            _log.warning("the database is unavailable: %s: %s", type(error).__name__, error)
            raise DatabaseUnavailable("The database can't be reached right now", data={"retry_after": 1}) from error
        finally:
            self._turns.give_back(began)

    def share(self, part: int, seconds: float, name: str) -> "Share":
        """Return a share of the connections: one in `part`, but at least one. See Share for the rest."""
        return Share(self, max(1, self._connections // part), seconds, name)

    async def check(self) -> None:
        """Check that the database answers and accepts writes, whether or not all connections are lent.

        Raises:
            DatabaseUnavailable: it doesn't; `detail` says why.
        """
        self._opened_pool()
        DATABASE_USED.set(True)
        await self._probe.check()

    def _opened_pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise DatabaseUnavailable(self._not_open, data={"retry_after": math.ceil(WAIT_SECONDS)})
        return self._pool

    async def _once_reachable(self, work: Callable[[asyncpg.Connection], Awaitable[T]], wait: float | None) -> T:
        """Do something that can be repeated on a connection, as soon as the database can be reached."""
        give_up_at = math.inf if wait is None else time.monotonic() + wait
        while True:
            try:
                connection = await self._first_connection()
                try:
                    return await work(connection)
                finally:
                    with suppress(*_UNAVAILABLE):
                        await connection.close(timeout=CONNECT_SECONDS)
            except _REFUSED as error:
                raise StartupError(
                    f"the database refused the connection: {error}; check DATABASE_URL and the password"
                ) from None
            except _UNAVAILABLE as error:
                reason = str(error) or type(error).__name__
                if (left := give_up_at - time.monotonic()) <= 0:
                    raise StartupError(
                        f"the database can't be reached ({reason}); gave up after {wait:g} s; check DATABASE_URL, or"
                        " wait longer with --wait"
                    ) from None
                self._not_open = "The service is waiting for its database, which can't be reached"
                pause = min(WAIT_SECONDS, left)
                _log.warning("waiting for the database (%s); trying again in %.0f s", reason, pause)
                await asyncio.sleep(pause)

    async def _first_connection(self) -> asyncpg.Connection:
        try:
            return await self._connector.connect(command_timeout=None)
        except ValueError:  # its message may quote part of the password
            raise StartupError(
                "DATABASE_URL can't be parsed; it must look like postgresql://user@host:5432/database, with special"
                " characters of the password percent-encoded"
            ) from None
        except asyncpg.ProtocolViolationError as error:
            raise StartupError(
                f"the database refused the connection: {error}; behind PgBouncer, set DATABASE_STATEMENT_CACHE=0"
            ) from None


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


async def _no_reset(_: asyncpg.Connection) -> None:
    pass
