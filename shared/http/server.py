"""Serving an application: listen, announce, drain, stop. The services and the console start here, and tests too."""

import asyncio
import errno
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from shared.errors import StartupError
from shared.http import connections

DRAIN_SECONDS = 25.0
"""How long requests in progress may take once the service is told to stop: longer than a body may take to arrive."""

CANCEL_SECONDS = 0.1
"""How long requests may take to end once they are cancelled."""

KEEPALIVE_SECONDS = 75.0
"""How long an idle connection is kept open."""

HEAD_SECONDS = 10.0
"""How long a new connection may take to send the head of a request, and any connection to finish one."""

MAX_CONNECTIONS = 4000
"""How many connections may be open at once, unless a setting says otherwise."""

RESERVED_FILES = 256
"""Open files that are not clients' connections: to the database, key files, sockets to listen on, refused clients.

If fewer than twice as many may be open, half of them are reserved.
"""

BACKLOG = 1024
"""Connections that may wait to be accepted."""

_ACCEPT_SECONDS = 0.05
"""How long an accepted connection may take to appear among the connections."""

_FILES_ON_MACOS = 10_240

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

ONCE_LISTENING: web.AppKey[list[Callable[[], Awaitable[None]]]] = web.AppKey("once_listening")
"""What a service does in this order once it listens, such as opening its database, which may take long."""

_log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs one application on our own server class.

    Args:
        app: The application.
        max_connections: Connections that are open at once; any more are answered 503 and closed.
        reserved_files: Open files that are not clients' connections. An eighth of them are for refused connections, and
            half of them for connections that are accepted before the refused ones are closed.
        head_seconds: How long the head of a request may take.
        write_seconds: How long a client may take to read an answer.
        max_unread_bytes: Memory for answers that clients haven't read yet; above it, the oldest are dropped.
        options: As for AppRunner.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        max_connections: int = MAX_CONNECTIONS,
        reserved_files: int = RESERVED_FILES,
        head_seconds: float = HEAD_SECONDS,
        write_seconds: float = connections.WRITE_SECONDS,
        max_unread_bytes: int = connections.MAX_UNREAD_BYTES,
        **options: Any,  # noqa: ANN401  passed on to aiohttp
    ) -> None:
        super().__init__(app, **options)
        self._max_connections = max_connections
        self._reserved_files = reserved_files
        self._head_seconds = head_seconds
        self._write_seconds = write_seconds
        self._max_unread_bytes = max_unread_bytes
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Accept connections.

        Raises:
            OSError: the address can't be used.
        """
        assert self.server is not None, "setup() comes first"
        # asyncio accepts as many at once as may wait, unless the number that may wait is changed afterwards
        self._listener = await asyncio.get_running_loop().create_server(
            self.server, host, port, backlog=max(1, self._reserved_files // 16)
        )
        for sock in self._listener.sockets:
            with sock.dup() as same:
                same.listen(BACKLOG)

    async def stop(self, lame_duck_seconds: float) -> None:
        """Stop without failing a request.

        For `lame_duck_seconds`, everything is answered as usual, but readiness is 503 and each answer is the last one
        on its connection. Then no connections are accepted, and requests that have begun get DRAIN_SECONDS.
        """
        assert isinstance(self.server, connections.Server)
        self.server.is_stopping = True
        await asyncio.sleep(lame_duck_seconds)
        await self._stop_listening()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.server.finish()

    async def _stop_listening(self) -> None:
        """Accept what is waiting, and then no more: closing the socket would reset what waits."""
        assert self.server is not None
        assert self._listener is not None, "listen() comes first"
        loop = asyncio.get_running_loop()
        sockets = [sock.dup() for sock in self._listener.sockets]
        self._listener.close()  # asyncio's part ends here; the sockets listen until the last copy is closed
        accepting = []
        for sock in sockets:
            with sock, suppress(OSError):
                while True:
                    accepted, _ = sock.accept()
                    accepting.append(loop.connect_accepted_socket(self.server, accepted))
        await asyncio.gather(*accepting, return_exceptions=True)
        await asyncio.sleep(_ACCEPT_SECONDS)

    async def _make_server(self) -> web.Server:
        return connections.Server(
            await super()._make_server(),
            access_log=None,  # application.py writes one
            keepalive_timeout=KEEPALIVE_SECONDS,
            head_seconds=self._head_seconds,
            write_seconds=self._write_seconds,
            max_connections=self._max_connections,
            max_unread_bytes=self._max_unread_bytes,
            max_refusals=max(1, self._reserved_files // 8),
            # a small body that unpacks to a huge one is refused (415) and never unpacked
            auto_decompress=False,
        )


def run(
    app: web.Application,
    host: str,
    port: int,
    *,
    max_connections: int = MAX_CONNECTIONS,
    lame_duck_seconds: float = 0.0,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop as `Runner.stop` says; a second signal ends everything at once.

    Fewer than `max_connections` are accepted if this process may not open as many files.

    Raises:
        StartupError: the address can't be used, or a part of the application refused to start.
    """
    try:
        asyncio.run(_serve(app, host, port, max_connections, lame_duck_seconds))
    except asyncio.CancelledError:
        pass  # by a signal
    except OSError as error:
        raise StartupError(f"cannot listen on {host}:{port} ({error.strerror}); set HOST and PORT") from None
    finally:
        for number in _SIGNALS:  # one more must not change the exit status of a service that has stopped
            signal.signal(number, signal.SIG_IGN)


def main(name: str, command: Callable[[], None]) -> None:
    """Run a command; a StartupError becomes one line on standard error and exit status 1."""
    try:
        command()
    except StartupError as error:
        sys.exit(f"{name}: {error}")


def _raise_file_limit() -> int:
    """Let this process open as many files as the operating system allows, and return how many."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for more in (most, _FILES_ON_MACOS):  # macOS has a second limit, and no way to ask for it here
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, most))
            files = more
            break
    return sys.maxsize if files == resource.RLIM_INFINITY else files


async def begin(app: web.Application) -> None:
    """Do what an application does once it listens.

    Raises:
        StartupError: a part of the application refused to start.
    """
    for step in app.get(ONCE_LISTENING, []):
        await step()


async def _serve(app: web.Application, host: str, port: int, max_connections: int, lame_duck_seconds: float) -> None:
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving is not None, "asyncio.run makes one"
    loop.set_exception_handler(_note_failures(connections.Seldom(loop.time)))
    for number in _SIGNALS:
        # this task alone: its cleanup waits for the tasks of the requests
        loop.add_signal_handler(number, serving.cancel)
    files = _raise_file_limit()
    reserved = min(RESERVED_FILES, files // 2)
    places = min(max_connections, files - reserved)
    runner = Runner(app, shutdown_timeout=CANCEL_SECONDS, max_connections=places, reserved_files=reserved)
    try:
        await runner.setup()
        await runner.listen(host, port)
        _log.info("listening on http://%s:%d, for at most %d connections", host, port, places)
        await begin(app)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            serving.uncancel()
            still = f"; connections are accepted for another {lame_duck_seconds:g} s" if lame_duck_seconds else ""
            _log.info("stopping%s", still)
            await runner.stop(lame_duck_seconds)
    finally:
        await runner.cleanup()


def _note_failures(out_of_files: connections.Seldom) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Build a handler of what fails in the event loop: one line a second if no file is left for a new connection."""

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _OUT_OF_FILES and "socket" in context:
            out_of_files.warning(
                "can't accept connections (%s); raise the limit of open files (ulimit -n), or lower MAX_CONNECTIONS;"
                " attempts: %d",
                error.strerror,
            )
        else:
            loop.default_exception_handler(context)

    return note
