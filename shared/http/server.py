"""Serving an application: listen, announce, drain, stop. The services and the console start here, and tests too."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

from aiohttp import web

from shared.errors import StartupError
from shared.http import protocol_errors

DRAIN_SECONDS = 10.0
"""How long requests in progress may take once the service is told to stop."""

KEEPALIVE_SECONDS = 75.0
"""How long an idle connection is kept open."""

_log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs one application on our own server class."""

    async def _make_server(self) -> web.Server:
        return protocol_errors.Server(
            await super()._make_server(),
            access_log=None,  # application.py writes one
            keepalive_timeout=KEEPALIVE_SECONDS,
            # a small body that unpacks to a huge one is refused (415) and never unpacked
            auto_decompress=False,
        )


def run(app: web.Application, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in progress finish; a second signal doesn't wait for them.

    Raises:
        StartupError: the address can't be used, or a part of the application refused to start.
    """
    try:
        asyncio.run(_serve(app, host, port))
    except asyncio.CancelledError:
        pass  # by a signal
    except OSError as error:
        raise StartupError(f"cannot listen on {host}:{port} ({error.strerror}); set HOST and PORT") from None


def main(name: str, command: Callable[[], None]) -> None:
    """Run a command; a StartupError becomes one line on standard error and exit status 1."""
    try:
        command()
    except StartupError as error:
        sys.exit(f"{name}: {error}")


async def _serve(app: web.Application, host: str, port: int) -> None:
    serving = asyncio.current_task()
    assert serving is not None, "asyncio.run makes one"
    for number in (signal.SIGTERM, signal.SIGINT):
        # this task alone: its cleanup waits for the tasks of the requests
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    runner = Runner(app, shutdown_timeout=DRAIN_SECONDS)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        _log.info("listening on http://%s:%d", host, port)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
