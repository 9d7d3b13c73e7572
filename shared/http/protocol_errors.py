"""What goes wrong before a route is found: malformed HTTP, invalid URLs, and Expect headers.

aiohttp answers malformed HTTP as plain text with its name and version, and drops the connection on an invalid URL.
These subclasses answer like everything else does. Only servers made by server.py use them; other aiohttp applications
in the process are untouched.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from shared.errors import DomainError, InternalError
from shared.http import problems
from shared.http.errors import RequestMalformed

REQUEST_ID_HEADER = "X-Request-ID"

INVALID_URL: web.RequestKey[bool] = web.RequestKey("invalid_url", bool)
"""Set on a request whose URL can't be parsed; its `url` is a placeholder."""

_EXPECTS_CONTINUE: web.RequestKey[bool] = web.RequestKey("expects_continue", bool)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MakeRequest = Callable[..., web.BaseRequest]

_log = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """A connection on which malformed HTTP is answered as a problem."""

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
        # aiohttp treats what it can't parse as HTTP/1.0
        request._version = HttpVersion11  # noqa: SLF001
        response = _Nameless(
            status=answer.status, headers={**answer.headers, REQUEST_ID_HEADER: request_id}, body=answer.body
        )
        response.force_close()
        return response


class Server(web.Server):
    """Makes a Protocol for each connection.

    Args:
        inner: The server that aiohttp would have used; its handler and request factory are wrapped.
        options: As for RequestHandler.
    """

    def __init__(self, inner: web.Server, **options: Any) -> None:  # noqa: ANN401  passed on to aiohttp
        super().__init__(
            _meeting_expectations(inner.request_handler),
            request_factory=_tolerant(inner.request_factory),
            handler_cancellation=True,  # nobody works for a client that has left
            **options,
        )

    def __call__(self) -> Protocol:
        """Make the protocol of a new connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)


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
    if isinstance(exc, LineTooLong):
        return RequestMalformed("The request line or a header is longer than the 8190 bytes accepted")
    return RequestMalformed("The bytes received are not an HTTP request", hint="Use an http:// address, not https://.")
