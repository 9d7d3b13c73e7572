"""Serving an application: listen, announce, drain, stop. The services and the console start here, and tests too."""

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from shared.errors import StartupError
from shared.http import protocol_errors

DRAIN_SECONDS = 10.0
"""How long requests in progress may take once the service is told to stop."""

KEEPALIVE_SECONDS = 75.0
"""How long an idle connection is kept open."""

HEAD_SECONDS = 10.0
"""How long a new connection may take to send the head of a request, and any connection to finish one."""

MAX_CONNECTIONS = 4000
"""How many connections may be open at once, unless a setting says otherwise."""

RESERVED_FILES = 256
"""Open files that are not clients' connections: to the database, key files, sockets to listen on, refused clients."""

ONCE_LISTENING: web.AppKey[list[Callable[[], Awaitable[None]]]] = web.AppKey("once_listening")
"""What a service does in this order once it listens, such as opening its database, which may take long."""

_log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs one application on our own server class.

    Args:
        app: The application.
        max_connections: Connections that are open at once; any more are answered 503 and closed.
        head_seconds: How long the head of a request may take.
        options: As for AppRunner.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        max_connections: int = MAX_CONNECTIONS,
        head_seconds: float = HEAD_SECONDS,
        **options: Any,  # noqa: ANN401  passed on to aiohttp
    ) -> None:
        super().__init__(app, **options)
        self._max_connections = max_connections
        self._head_seconds = head_seconds

    async def _make_server(self) -> web.Server:
        return protocol_errors.Server(
            await super()._make_server(),
            access_log=None,  # application.py writes one
            keepalive_timeout=KEEPALIVE_SECONDS,
            head_seconds=self._head_seconds,
            max_connections=self._max_connections,
            # a small body that unpacks to a huge one is refused (415) and never unpacked
            auto_decompress=False,
        )


def run(app: web.Application, host: str, port: int, max_connections: int = MAX_CONNECTIONS) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in progress finish; a second signal doesn't wait for them.

    Fewer than `max_connections` are accepted if this process may not open as many files.

    Raises:
        StartupError: the address can't be used, or a part of the application refused to start.
    """
    try:
        asyncio.run(_serve(app, host, port, min(max_connections, _possible_connections())))
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


def _possible_connections() -> int:
    """Let this process open as many files as the operating system allows, and return how many are left for clients."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a second limit, and no way to ask for it here
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        files = most
    return sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - RESERVED_FILES)


async def begin(app: web.Application) -> None:
    """Do what an application does once it listens.

    Raises:
        StartupError: a part of the application refused to start.
    """
    for step in app.get(ONCE_LISTENING, []):
        await step()


async def _serve(app: web.Application, host: str, port: int, max_connections: int) -> None:
    serving = asyncio.current_task()
    assert serving is not None, "asyncio.run makes one"
    for number in (signal.SIGTERM, signal.SIGINT):
        # this task alone: its cleanup waits for the tasks of the requests
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    runner = Runner(app, shutdown_timeout=DRAIN_SECONDS, max_connections=max_connections)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        _log.info("listening on http://%s:%d, for at most %d connections", host, port, max_connections)
        await begin(app)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
