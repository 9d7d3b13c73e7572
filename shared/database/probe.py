"""Checks whether the database works, apart from the pool, so that requests that wait don't make it look broken."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg

from shared.errors import DatabaseUnavailable

CHECK_SECONDS = 2.0
"""How long a check may take."""

KEPT_SECONDS = 1.0
"""How long a result is reused."""

_log = logging.getLogger(__name__)


class Probe:
    """Checks the database on a connection of its own, which is opened again after any failure.

    Args:
        connect: Opens the connection.
        unavailable: The exceptions that mean an outage.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        unavailable: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._unavailable = unavailable
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._outdated = False
        self._checking: asyncio.Task[str | None] | None = None
        self._checked_at = 0.0
        self._trouble: str | None = None

    async def check(self) -> None:
        """Check that the database answers and accepts writes; concurrent callers share one check.

        Raises:
            DatabaseUnavailable: it doesn't; `detail` says why.
        """
        if self._checking is None or (self._checking.done() and self._clock() - self._checked_at >= KEPT_SECONDS):
            self._checking = asyncio.create_task(self._check())
        trouble = await asyncio.shield(self._checking)
        if trouble is not None:
            raise DatabaseUnavailable(trouble, data={"retry_after": 1})

    def forget(self) -> None:
        """Drop the last result, and let the next check open a new connection, because both may be out of date."""
        self._outdated = True  # a check in progress may still use the connection
        if self._checking is not None and self._checking.done():
            self._checking = None

    async def close(self) -> None:
        """Stop a check in progress and close the connection."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        self._disconnect()

    async def _check(self) -> str | None:
        """Return what is wrong, or None."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                trouble = await self._ask()
        except TimeoutError:
            trouble = f"The database did not answer within {CHECK_SECONDS:.0f} s"
        except self._unavailable as error:
            trouble = "The database can't be reached right now"
            _log.warning("the readiness check failed: %s: %s", type(error).__name__, error)
        if trouble is not None:
            self._disconnect()
        if trouble != self._trouble:
            _log.warning("readiness: %s", trouble or "The database works again")
        self._trouble = trouble
        self._checked_at = self._clock()
        return trouble

    async def _ask(self) -> str | None:
        if self._outdated:
            self._disconnect()
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        # also "on" at a standby
        if await self._connection.fetchval("SELECT current_setting('transaction_read_only')") == "on":
            return "The database is read-only: it is a standby, or was switched to read-only mode"
        return None

    def _disconnect(self) -> None:
        self._outdated = False
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
