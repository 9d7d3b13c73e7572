"""What is answered before any route or middleware runs: bytes that are no HTTP, addresses that are none, expectations.

aiohttp answers these itself, as plain text with its name and version, or not at all. It offers no hook for that, so
what does it is replaced; tests/shared/test_wire.py notices when a release of aiohttp no longer calls it.
"""

import logging
import os
from typing import Any

from aiohttp import HttpVersion11, hdrs, web, web_urldispatcher
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from shared.errors import InternalError, Problem, RequestMalformed

REQUEST_ID_HEADER = "X-Request-ID"

UNUSABLE: web.RequestKey[bool] = web.RequestKey("unusable", bool)
"""On a request whose address can't be understood; it stands for that one, and has none of its own."""

# everything over a connection but its body is text without compression; who sends a small body that unpacks to a huge
# one is told that it is not taken (415), and it is never unpacked
SERVER_OPTIONS: dict[str, Any] = {"auto_decompress": False}
"""How every server of ours is to be made, those of the tests too."""

_log = logging.getLogger(__name__)


class _Nameless(web.Response):
    """An answer without the Server header, which aiohttp sets at the last moment."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def handle_error(
    _: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,  # noqa: ARG001  it may quote what the client sent
) -> web.StreamResponse:
    """Answer in aiohttp's place, and close the connection after it."""
    if request.writer.output_size > 0:
        raise ConnectionError("an answer has begun already, so this connection can only be closed")
    request_id = os.urandom(16).hex()
    problem = _problem(status, exc)
    if problem.status >= InternalError.status:
        _log.error("the protocol failed", exc_info=exc, extra={"request_id": request_id})
    else:
        _log.info("no HTTP: %s", type(exc).__name__, extra={"request_id": request_id})
    answer = problem.render(request_id)
    # what could not be parsed counts as HTTP/1.0 there
    request._version = HttpVersion11  # noqa: SLF001
    response = _Nameless(
        status=answer.status, headers={**answer.headers, REQUEST_ID_HEADER: request_id}, body=answer.body
    )
    response.force_close()
    return response


async def meet_expectation(request: web.Request) -> None:
    """Answer `Expect: 100-continue`; other expectations are ignored, as RFC 9110 section 10.1.1 allows."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def install() -> None:
    """Let every server of this process answer so."""
    RequestHandler.handle_error = handle_error  # type: ignore[method-assign, assignment]
    web_urldispatcher._default_expect_handler = meet_expectation  # noqa: SLF001  for 404 and 405 too
    web.Application._make_request = _make_request  # type: ignore[method-assign, assignment]  # noqa: SLF001


async def without_name(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Take out the header in which aiohttp names itself and its version."""
    response.headers.popall(hdrs.SERVER, None)


_their_make_request = web.Application._make_request  # noqa: SLF001


def _make_request(
    app: web.Application,
    message: RawRequestMessage,
    *arguments: Any,  # noqa: ANN401  whatever aiohttp passes on
    **more: Any,  # noqa: ANN401
) -> web.Request:
    """Make the request of what was parsed; aiohttp would leave a client alone with an address like http://xn--a/."""
    try:
        return _their_make_request(app, message, *arguments, **more)
    except ValueError:
        request = _their_make_request(app, message._replace(path="/", url=URL("/")), *arguments, **more)
        request[UNUSABLE] = True
        return request


def _problem(status: int, exc: BaseException | None) -> Problem:
    if status >= InternalError.status:
        return InternalError("Something failed on our side")
    if isinstance(exc, LineTooLong):
        return RequestMalformed("The request line or a header is longer than the 8190 bytes accepted")
    return RequestMalformed("The bytes received are no HTTP request", hint="Is this an http:// address, not https://?")
