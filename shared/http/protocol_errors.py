"""What goes wrong before a route is found: malformed HTTP, invalid URLs, Expect headers, and too many connections.

aiohttp answers malformed HTTP as plain text with its name and version, and drops the connection on an invalid URL.
These subclasses answer like everything else does. Only servers made by server.py use them; other aiohttp applications
in the process are untouched.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from shared.errors import Busy, DomainError, InternalError
from shared.http import problems
from shared.http.errors import RequestMalformed

REQUEST_ID_HEADER = "X-Request-ID"

REFUSAL_SECONDS = 1.0
"""How long a refused client has to read the answer."""

MAX_REFUSALS = 100
"""Refused connections that are open at once; any more are closed without an answer."""

_LOG_SECONDS = 1.0

INVALID_URL: web.RequestKey[bool] = web.RequestKey("invalid_url", bool)
"""Set on a request whose URL can't be parsed; its `url` is a placeholder."""

_EXPECTS_CONTINUE: web.RequestKey[bool] = web.RequestKey("expects_continue", bool)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MakeRequest = Callable[..., web.BaseRequest]

_log = logging.getLogger(__name__)


class _NotInHttp10(Exception):
    """A header that HTTP/1.0 doesn't have, and that decides where the request ends."""


class Protocol(RequestHandler):
    """A connection on which malformed HTTP is answered as a problem.

    It is closed if the head of a request doesn't arrive in time, and handed on if it is one too many.

    Args:
        server: The server.
        head_seconds: How long a new connection has to send the head of a request, and any connection to finish one.
        options: As for RequestHandler.
    """

    def __init__(self, server: "Server", *, head_seconds: float, **options: Any) -> None:  # noqa: ANN401  passed on
        super().__init__(server, **options)
        self._server = server
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first head."""
        if self._server.is_full():
            self._server.refuse(transport)
            return
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a head is complete, and start it when another begins."""
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._stop_head_timer()
        elif self._head_timer is None and self._is_idle():
            self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._head_seconds, self.force_close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's text, which may quote what the client sent
    ) -> web.Response:
        """Answer, and close the connection after the answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun, so this connection can only be closed")
        request_id = os.urandom(16).hex()
        error = _error(status, exc)
        if isinstance(error, InternalError):
            _log.error("the HTTP protocol failed", exc_info=exc, extra={"request_id": request_id})
        else:
            _log.info("malformed HTTP: %s", type(exc).__name__, extra={"request_id": request_id})
        answer = problems.answer(error, request_id)
        request._version = HttpVersion11  # noqa: SLF001  aiohttp answers what it can't parse as HTTP/1.0
        response = _Nameless(
            status=answer.status, headers={**answer.headers, REQUEST_ID_HEADER: request_id}, body=answer.body
        )
        response.force_close()
        return response


class Server(web.Server):
    """Makes a Protocol for each connection.

    Args:
        inner: The server that aiohttp would have used; its handler and request factory are wrapped.
        max_connections: Connections that are open at once; any more are answered 503 and closed.
        options: As for Protocol.
    """

    def __init__(self, inner: web.Server, *, max_connections: int, **options: Any) -> None:  # noqa: ANN401  passed on
        super().__init__(
            _with_sure_framing(_meeting_expectations(inner.request_handler)),
            request_factory=_tolerant(inner.request_factory),
            handler_cancellation=True,  # nobody works for a client that has left
            **options,
        )
        self._max_connections = max_connections
        self._refusals: set[_Refusal] = set()
        self._refused = 0
        self._logged_at = -_LOG_SECONDS

    def __call__(self) -> Protocol:
        """Make the protocol of a new connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)

    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._connections) >= self._max_connections

    def refuse(self, transport: asyncio.BaseTransport) -> None:
        """Answer 503 and close, or only close; log how many were refused, at most once a second."""
        assert isinstance(transport, asyncio.Transport)
        self._refused += 1
        now = self._loop.time()
        if now - self._logged_at >= _LOG_SECONDS:
            _log.warning("all %d connections are in use; refused %d", self._max_connections, self._refused)
            self._logged_at, self._refused = now, 0
        if len(self._refusals) >= MAX_REFUSALS:
            transport.abort()
            return
        refusal = _Refusal(self._refusals, self._loop)
        transport.set_protocol(refusal)
        refusal.connection_made(transport)


class _Refusal(asyncio.Protocol):
    """Answers a connection that is one too many, before any request on it, and closes it.

    Closing before the client's request has been read would reset the connection, and the answer could be lost. So it
    stays open until the request comes, or for REFUSAL_SECONDS.

    Args:
        refusals: The refusals in progress, where this one adds and removes itself.
        loop: The event loop.
    """

    def __init__(self, refusals: set["_Refusal"], loop: asyncio.AbstractEventLoop) -> None:
        self._refusals = refusals
        self._loop = loop
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._refusals.add(self)
        self._timer = self._loop.call_later(REFUSAL_SECONDS, transport.close)
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
        assert self._transport is not None
        self._transport.close()

    def connection_lost(self, _: BaseException | None) -> None:
        """Make room for another one."""
        self._timer.cancel()
        self._refusals.discard(self)


async def without_server_header(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Remove the header in which aiohttp announces itself and its version; a signal handler."""
    response.headers.popall(hdrs.SERVER, None)


class _Nameless(web.Response):
    """An answer without the Server header, which aiohttp adds at the last moment."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def _meeting_expectations(handle: Handle) -> Handle:
    """Answer `Expect: 100-continue`; other expectations are ignored, as RFC 9110 section 10.1.1 allows."""

    async def meet(request: web.BaseRequest) -> web.StreamResponse:
        if request.get(_EXPECTS_CONTINUE):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        return await handle(request)

    return meet


def _with_sure_framing(handle: Handle) -> Handle:
    """Refuse Transfer-Encoding in HTTP/1.0: a proxy in front may have read a different end (RFC 9112 section 6.1)."""

    async def check(request: web.BaseRequest) -> web.StreamResponse:
        if request.version < HttpVersion11 and hdrs.TRANSFER_ENCODING in request.headers:
            return request.protocol.handle_error(request, HTTPStatus.BAD_REQUEST, _NotInHttp10())
        return await handle(request)

    return check


def _tolerant(make: MakeRequest) -> MakeRequest:
    """Make a request from what was parsed, even if its URL is invalid; aiohttp drops such a client without a word."""

    def make_request(message: RawRequestMessage, *arguments: Any) -> web.BaseRequest:  # noqa: ANN401  aiohttp's own
        expected = message.headers.get(hdrs.EXPECT)
        if expected is not None:
            # aiohttp's router would answer 417 to other expectations
            headers = CIMultiDict(message.headers)
            headers.popall(hdrs.EXPECT)
            message = message._replace(headers=CIMultiDictProxy(headers))
        try:
            request = make(message, *arguments)
        except ValueError:
            request = make(message._replace(path="/", url=URL("/")), *arguments)
            request[INVALID_URL] = True
        if expected is not None and expected.lower() == "100-continue" and message.version >= HttpVersion11:
            request[_EXPECTS_CONTINUE] = True
        return request

    return make_request


def _error(status: int, exc: BaseException | None) -> DomainError:
    if status >= web.HTTPInternalServerError.status_code:
        return InternalError("Something failed on our side")
    if isinstance(exc, _NotInHttp10):
        return RequestMalformed("HTTP/1.0 has no Transfer-Encoding", hint="Use HTTP/1.1, or send a Content-Length.")
    if isinstance(exc, LineTooLong):
        return RequestMalformed("The request line or a header is longer than the 8190 bytes accepted")
    return RequestMalformed("The bytes received are not an HTTP request", hint="Use an http:// address, not https://.")
