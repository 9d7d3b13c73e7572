"""What goes wrong before a route is found: malformed HTTP, invalid URLs and Expect headers.

aiohttp answers malformed HTTP as plain text with its name and version, and drops the connection on an invalid URL.
These functions answer like everything else does. Only the connections of connections.py use them; other aiohttp
applications in the process are untouched.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from shared.errors import DomainError, InternalError
from shared.http import problems
from shared.http.errors import RequestMalformed

REQUEST_ID_HEADER = "X-Request-ID"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

INVALID_URL: web.RequestKey[bool] = web.RequestKey("invalid_url", bool)
"""Set on a request whose URL can't be parsed; its `url` is a placeholder."""

_EXPECTS_CONTINUE: web.RequestKey[bool] = web.RequestKey("expects_continue", bool)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MakeRequest = Callable[..., web.BaseRequest]

_log = logging.getLogger(__name__)


class _NotInHttp10(Exception):
    """A header that HTTP/1.0 doesn't have, and that decides where the request ends."""


def answer(request: web.BaseRequest, status: int, exc: BaseException | None) -> web.Response:
    """Answer what aiohttp could not handle, and close the connection after the answer.

    Raises:
        ConnectionError: an answer has already begun.
    """
    if request.writer.output_size > 0:
        raise ConnectionError("an answer has already begun, so this connection can only be closed")
    request_id = os.urandom(16).hex()
    error = _error(status, exc)
    if isinstance(error, InternalError):
        _log.error("the HTTP protocol failed", exc_info=exc, extra={"request_id": request_id})
    else:
        _log.info("malformed HTTP: %s", type(exc).__name__, extra={"request_id": request_id})
    found = problems.answer(error, request_id)
    request._version = HttpVersion11  # noqa: SLF001  aiohttp answers what it can't parse as HTTP/1.0
    response = _Nameless(status=found.status, headers={**found.headers, REQUEST_ID_HEADER: request_id}, body=found.body)
    response.force_close()
    return response


async def without_server_header(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Remove the header in which aiohttp announces itself and its version; a signal handler."""
    response.headers.popall(hdrs.SERVER, None)


class _Nameless(web.Response):
    """An answer without the Server header, which aiohttp adds at the last moment."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def meeting_expectations(handle: Handle) -> Handle:
    """Answer `Expect: 100-continue`; other expectations are ignored, as RFC 9110 section 10.1.1 allows."""

    async def meet(request: web.BaseRequest) -> web.StreamResponse:
        if request.get(_EXPECTS_CONTINUE):
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0  # the answer itself has not begun
        return await handle(request)

    return meet


def with_sure_framing(handle: Handle) -> Handle:
    """Refuse Transfer-Encoding in HTTP/1.0: a proxy in front may have read a different end (RFC 9112 section 6.1)."""

    async def check(request: web.BaseRequest) -> web.StreamResponse:
        if request.version < HttpVersion11 and hdrs.TRANSFER_ENCODING in request.headers:
            return request.protocol.handle_error(request, HTTPStatus.BAD_REQUEST, _NotInHttp10())
        return await handle(request)

    return check


def tolerant(make: MakeRequest) -> MakeRequest:
    """Make a request from what was parsed, even if its URL is invalid; aiohttp drops such a client without a word."""

    def make_request(message: RawRequestMessage, *arguments: Any) -> web.BaseRequest:  # noqa: ANN401  aiohttp's own
        expected = message.headers.get(hdrs.EXPECT)
        if expected is not None:
            # aiohttp's router would answer 417 to other expectations
            headers = CIMultiDict(message.headers)
            headers.popall(hdrs.EXPECT)
            message = message._replace(headers=CIMultiDictProxy(headers))
        if message.upgrade:
            # aiohttp drops what came with such a request, so what comes after it would be read from the middle
            message = message._replace(should_close=True)
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
