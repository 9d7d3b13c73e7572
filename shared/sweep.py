"""Takes away what is over: in the background, in small batches, one replica at a time.

Nothing depends on it but room: what is over counts for nothing, swept or not.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from shared.errors import Problem

PAUSE_SECONDS = 10.0
"""Between two rounds."""

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps for as long as the service serves.

    Args:
        sweep: Takes one batch away, and says whether there may be more.
    """

    def __init__(self, sweep: Callable[[], Awaitable[bool]]) -> None:
        self._sweep = sweep

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """A cleanup context of the application."""
        sweeping = asyncio.create_task(self._run())
        yield
        sweeping.cancel()
        await asyncio.wait([sweeping])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                while await self._sweep():
                    pass
            except Problem as problem:  # no database just now: the next round is soon enough
                _log.warning("nothing was swept: %s", problem)
            except Exception:  # noqa: BLE001  whatever it was, the next round must come
                _log.exception("sweeping failed")
