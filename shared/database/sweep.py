"""Deletes expired rows in the background, in small batches, on one replica at a time.

Nothing but disk space depends on it: expired rows are ignored whether or not they have been swept.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shared.errors import DomainError

PAUSE_SECONDS = 10.0
"""Pause between two rounds."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def sweeping(sweep: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Sweep for the duration of the block.

    Args:
        sweep: Deletes one batch, and returns whether there may be more.
    """
    task = asyncio.create_task(_run(sweep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _run(sweep: Callable[[], Awaitable[bool]]) -> None:
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        try:
            while await sweep():
                pass
        except DomainError as error:  # the database is unavailable; the next round is soon enough
            _log.warning("nothing was swept: %s", error)
        except Exception:  # noqa: BLE001  whatever it was, the next round must run
            _log.exception("sweeping failed")
