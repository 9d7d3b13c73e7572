"""Connections: how many there may be, how long they may be silent or unread, and how they end.

aiohttp makes an object for each connection; these subclasses are ours. Only servers made by server.py use them; other
aiohttp applications in the process are untouched.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.web_protocol import RequestHandler

from shared.errors import Busy
from shared.http import problems, protocol_errors
from shared.http.protocol_errors import REQUEST_ID_HEADER

WRITE_SECONDS = 30.0
"""How long a client may take to read an answer."""

MAX_UNREAD_BYTES = 32 * 1024 * 1024
"""Answers in memory that clients haven't read yet, in all. Above it, those that have waited longest are dropped."""

KERNEL_UNSENT_BYTES = 128 * 1024
"""How much of an answer the operating system takes before it is on its way."""

PROBE_SECONDS = 0.5
"""How long after a client has closed its side we check whether it still wants the answer, and how often."""

NEW_SECONDS = 1.0
"""How long a connection that has sent nothing yet may delay the end of the service."""

REFUSAL_SECONDS = 1.0
"""How long a refused client has to read the answer."""

_LOG_SECONDS = 1.0

_NO_LINGERING = struct.pack("ii", 1, 0)

_log = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """A connection.

    It is closed if the head of a request doesn't arrive in time or an answer isn't read in time, and refused if it is
    one too many. Malformed HTTP is answered as a problem. The next request begins when the operating system has taken
    the whole previous answer.

    Args:
        server: The server.
        head_seconds: How long a new connection has to send the head of a request, and any connection to finish one.
        write_seconds: How long the client may take to read an answer.
        options: As for RequestHandler.
    """

    def __init__(
        self,
        server: "Server",
        *,
        head_seconds: float,
        write_seconds: float,
        **options: Any,  # noqa: ANN401  passed on
    ) -> None:
        super().__init__(server, **options)
        self._server = server
        self._head_seconds = head_seconds
        self._write_seconds = write_seconds
        self._wire: asyncio.Transport | None = None  # unlike aiohttp's, also while it is closing
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None  # of the latest request
        self._answered = 0
        self._answer_bytes = 0
        self._has_received = False
        self._ends = False  # once its requests have been answered

    @property
    def server_is_stopping(self) -> bool:
        """Whether the service has been told to stop."""
        return self._server.is_stopping

    @property
    def unread_bytes(self) -> int:
        """Memory that an answer takes while it waits for the client: the answer, and what is not yet sent of it."""
        return 0 if self._wire is None else self._answer_bytes + self._wire.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first head."""
        assert isinstance(transport, asyncio.Transport)
        if self._server.is_full():
            self._server.refuse(transport)
            return
        self._wire = transport
        transport.set_write_buffer_limits(high=0)
        _limit_output(transport.get_extra_info("socket"), self._write_seconds)
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a head is complete, and start it when another begins."""
        self._has_received = True
        before = self._request_count
        super().data_received(data)
        if self._messages:
            self._body = self._messages[-1][1]
        if self._request_count > before:
            self._stop_head_timer()
        elif self._head_timer is None and self._is_idle():
            self._start_head_timer()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads it, although aiohttp's returns None
        """Keep the connection if its requests are complete: the client may only have closed its own side.

        TCP can't tell this from a client that has left, until something is sent. So while there is no answer, we send
        100 Continue, which every client ignores (RFC 9110 section 15.2.1), and one that has left resets the connection.
        """
        is_complete = self._request_count > self._answered and self._body is not None and self._body.is_eof()
        self._ends |= is_complete
        if is_complete and self._probe_timer is None:
            self._probe_timer = self._loop.call_later(PROBE_SECONDS, self._probe)
        return is_complete

    def pause_writing(self) -> None:
        """Start the clock for reading an answer."""
        super().pause_writing()
        assert self._wire is not None
        self._write_timer = self._loop.call_later(self._write_seconds, self._server.drop, self)
        self._server.note_unread(self)

    def resume_writing(self) -> None:
        """Stop that clock: the operating system has the whole answer."""
        self._stop_write_timer()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._stop_head_timer()
        self._stop_write_timer()
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._wire = None
        super().connection_lost(exc)

    def abort(self) -> None:
        """Reset the connection, and forget what hasn't been sent, also in the operating system."""
        if self._wire is not None:
            self._wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self._wire.abort()

    def finish(self) -> None:
        """Close the connection now if it is idle, else after its requests have been answered."""
        if not self._has_received:
            self._stop_head_timer()
            self._start_head_timer(NEW_SECONDS)
        elif self._is_idle() and self._head_timer is None:
            self.force_close()
        else:
            self._ends = True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; say that it is the last one if the service stops or the client sends no more."""
        if (self._server.is_stopping or self._ends) and not self._messages:
            resp.force_close()
        self._answer_bytes = resp.content_length or 0
        result = await super().finish_response(request, resp, start_time)
        self._answered += 1
        if self._ends and not self._messages:
            self.close()
        return result

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's text, which may quote what the client sent
    ) -> web.Response:
        """Answer, and close the connection after the answer."""
        return protocol_errors.answer(request, status, exc)

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _probe(self) -> None:
        request = self._current_request
        # the version is that of the request; HTTP/1.0 has no 100 Continue
        if request is not None and request.version >= HttpVersion11 and self._wire is not None:
            self._wire.write(protocol_errors.CONTINUE)
        self._probe_timer = self._loop.call_later(PROBE_SECONDS, self._probe)

    def _start_head_timer(self, seconds: float | None = None) -> None:
        self._head_timer = self._loop.call_later(seconds or self._head_seconds, self.force_close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
            self._server.forget_unread(self)


class Server(web.Server):
    """Makes a Protocol for each connection.

    Args:
        inner: The server that aiohttp would have used; its handler and request factory are wrapped.
        max_connections: Connections that are open at once; any more are answered 503 and closed.
        max_refusals: Refused connections that are open at once; before there are more, the oldest is closed.
        max_unread_bytes: Answers in memory that clients haven't read yet; above it, the oldest are dropped.
        options: As for Protocol.
    """

    def __init__(
        self,
        inner: web.Server,
        *,
        max_connections: int,
        max_refusals: int,
        max_unread_bytes: int,
        **options: Any,  # noqa: ANN401  passed on
    ) -> None:
        super().__init__(
            protocol_errors.with_sure_framing(protocol_errors.meeting_expectations(inner.request_handler)),
            request_factory=protocol_errors.tolerant(inner.request_factory),
            handler_cancellation=True,  # nobody works for a client that has left
            **options,
        )
        self.is_stopping = False
        self._max_connections = max_connections
        self._max_unread_bytes = max_unread_bytes
        self._unread: dict[Protocol, None] = {}  # in the order in which they began to wait
        self._max_refusals = max_refusals
        self._refusals: dict[_Refusal, None] = {}  # oldest first
        self._refused = Seldom(self._loop.time)
        self._dropped = Seldom(self._loop.time)

    def __call__(self) -> Protocol:
        """Make the protocol of a new connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)

    async def finish(self) -> None:
        """Close idle connections, and return once all others have been answered and closed."""
        for connection in self.connections:
            assert isinstance(connection, Protocol)
            connection.finish()
        while self._connections:  # noqa: ASYNC110  aiohttp has no event for a closed connection
            await asyncio.sleep(0.02)

    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._connections) >= self._max_connections

    def note_unread(self, connection: Protocol) -> None:
        """Count an answer that is not read at once; drop others, oldest first, if they take too much memory."""
        self._unread[connection] = None
        excess = sum(other.unread_bytes for other in self._unread) - self._max_unread_bytes
        for other in list(self._unread):
            if excess <= 0 or other is connection:
                break
            excess -= other.unread_bytes
            self.drop(other)

    def forget_unread(self, connection: Protocol) -> None:
        """Count it no longer."""
        self._unread.pop(connection, None)

    def drop(self, connection: Protocol) -> None:
        """Close a connection whose client doesn't read; log how many, at most once a second."""
        self._unread.pop(connection, None)
        connection.abort()
        self._dropped.warning("closed connections whose clients did not read the answer: %d")

    def refuse(self, transport: asyncio.Transport) -> None:
        """Answer 503 and close; log how many were refused, at most once a second."""
        self._refused.warning("all %d connections are in use; refused %d", self._max_connections)
        if len(self._refusals) >= self._max_refusals:
            next(iter(self._refusals)).close()
        refusal = _Refusal(self._refusals, self._loop)
        transport.set_protocol(refusal)
        refusal.connection_made(transport)


class Seldom:
    """Logs at most once a second.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._logged_at = -_LOG_SECONDS

    def warning(self, message: str, *arguments: object) -> None:
        """Count, and log if it is time; the last placeholder is for the number of calls since the previous line."""
        self._count += 1
        now = self._clock()
        if now - self._logged_at >= _LOG_SECONDS:
            _log.warning(message, *arguments, self._count)
            self._logged_at, self._count = now, 0


class _Refusal(asyncio.Protocol):
    """Answers a connection that is one too many, before any request on it, and closes it.

    Closing before the client's request has been read would reset the connection, and the answer could be lost. So it
    stays open until the request comes, or for REFUSAL_SECONDS.

    Args:
        refusals: The refusals in progress, where this one adds and removes itself.
        loop: The event loop.
    """

    def __init__(self, refusals: dict["_Refusal", None], loop: asyncio.AbstractEventLoop) -> None:
        self._refusals = refusals
        self._loop = loop
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._refusals[self] = None
        self._timer = self._loop.call_later(REFUSAL_SECONDS, self.close)
        request_id = os.urandom(16).hex()
        error = Busy("All connections of this service are in use", data={"retry_after": 1})
        answer = problems.answer(error, request_id)
        headers = {
            **answer.headers,
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
            REQUEST_ID_HEADER: request_id,
        }
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {answer.status:d} {problems.phrase(HTTPStatus(answer.status))}\r\n{''.join(lines)}\r\n"
        transport.write(head.encode() + answer.body)
        transport.write_eof()

    def data_received(self, _: bytes) -> None:
        """Close: the request is here, and the answer is sent."""
        self.close()

    def close(self) -> None:
        """Close, and make room for another one."""
        assert self._transport is not None, "connection_made comes first"
        self._refusals.pop(self, None)
        self._transport.close()

    def connection_lost(self, _: BaseException | None) -> None:
        """Forget the connection."""
        self._timer.cancel()
        self._refusals.pop(self, None)


def _limit_output(sock: socket.socket, write_seconds: float) -> None:
    """Let the operating system hold less of what a client doesn't read, and give up on one that is gone.

    macOS has neither option; there, only the limits on what this process holds apply.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_UNSENT_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # later than our own timer, which logs what it does; this one is for what the timer can't see
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * write_seconds * 1000))
