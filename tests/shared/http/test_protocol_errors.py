"""Malformed HTTP, invalid URLs and Expect headers, over a bare socket."""

import asyncio
import json
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.api_client import Pair
from tests.raw_http import exchange


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello, TLS\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_malformed_http_gets_the_usual_kind_of_error(pair: Pair, data: bytes) -> None:
    """Malformed HTTP gets an HTTP/1.1 response in problem+json that doesn't name the software."""
    for base in (pair.auth, pair.posts):
        status, headers, body = await exchange(base, data)
        assert status == b"HTTP/1.1 400 Bad Request"
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["Connection"] == "close"
        assert "Server" not in headers
        problem = json.loads(body)
        assert problem["code"] == "request_malformed"
        assert problem["request_id"] == headers["X-Request-ID"]


@pytest.mark.parametrize("target", ["http://xn--a/", "http://[::1/health/live", "http://a:99999999/", "http://\xff/"])
async def test_an_invalid_url_gets_an_error(pair: Pair, target: str) -> None:
    """A request line with an invalid URL gets an error, and the connection doesn't hang."""
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1")
    status, headers, body = await exchange(pair.posts, request)
    assert status.split(b" ")[1] in (b"400", b"404")
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] in ("request_malformed", "not_found")


@pytest.mark.parametrize("line", [b"POST /nowhere", b"PUT /posts"])
async def test_an_unknown_expectation_does_not_change_an_error(pair: Pair, line: bytes) -> None:
    """An unknown Expect header doesn't change a 404 or 405."""
    request = line + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: x\r\nContent-Length: 0\r\n\r\n"
    status, headers, _ = await exchange(pair.posts, request)
    assert status.split(b" ")[1] in (b"404", b"405")
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", [b"/login", b"/nowhere", b"/me"])
@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
async def test_a_compressed_body_is_never_unpacked(pair: Pair, path: bytes, encoding: bytes) -> None:
    """A compressed body is refused without being unpacked, so that a small one can't become a huge one."""
    junk = b"this is not compressed at all"
    request = (
        b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (path, encoding, len(junk), junk)
    )
    status, _, body = await exchange(pair.auth, request)
    wanted = {b"/login": b"415", b"/nowhere": b"404", b"/me": b"405"}[path]
    assert status.split(b" ")[1] == wanted
    assert json.loads(body)["status"] == int(wanted)


async def test_a_broken_chunk_is_the_clients_fault(pair: Pair) -> None:
    """A body with broken chunked encoding gets 400, not 500."""
    head = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, _, body = await exchange(pair.auth, head + b"5\r\n{}{}{\r\nzz\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert json.loads(body)["code"] == "request_malformed"


async def test_other_applications_are_left_alone(pair: Pair) -> None:
    """Any other aiohttp application in the same process keeps aiohttp's own behaviour."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    async with TestServer(app) as theirs:
        base = str(theirs.make_url("")).rstrip("/")
        assert (await exchange(pair.posts, b"nonsense\r\n\r\n"))[1]["Content-Type"] == "application/problem+json"
        status, headers, body = await exchange(base, b"nonsense\r\n\r\n")
        assert status.startswith(b"HTTP/1.0 400")
        assert "aiohttp" in headers["Server"]
        assert b"problem" not in body
        ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: the-unexpected\r\n\r\n"
        assert (await exchange(base, ask))[0].startswith(b"HTTP/1.1 417")


async def test_an_expectation_is_met_or_ignored(pair: Pair) -> None:
    """`Expect: 100-continue` gets a 100 response; an unknown expectation is ignored."""
    head = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: %s\r\n\r\n"
    status, _, rest = await exchange(pair.posts, head % b"100-continue")
    assert status == b"HTTP/1.1 100 Continue"
    assert rest.startswith(b"HTTP/1.1 200 OK")
    status, _, _ = await exchange(pair.posts, head % b"the-unexpected")
    assert status == b"HTTP/1.1 200 OK"


async def test_http_1_0_has_no_transfer_encoding(pair: Pair) -> None:
    """Transfer-Encoding in HTTP/1.0 is refused, and nothing after it is read (RFC 9112 section 6.1)."""
    request = (
        b"POST /login HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        b"GET /health/live HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    )
    for base in (pair.auth, pair.posts):
        status, headers, body = await exchange(base, request)
        assert status == b"HTTP/1.0 400 Bad Request"
        assert headers.get("Connection") != "keep-alive"
        assert json.loads(body)["code"] == "request_malformed", "there is no second answer"
        assert "Transfer-Encoding" in json.loads(body)["detail"]


UPGRADE = b"Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize(
    "first",
    [
        b"GET /health/live HTTP/1.1\r\n" + UPGRADE + b"\r\n",
        b"POST /posts HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 2\r\n\r\n{}",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_nothing_follows_an_upgrade(pair: Pair, first: bytes) -> None:
    """A request that asks for another protocol is the last on its connection, so nothing after it is misread."""
    address = urlsplit(pair.posts)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(first + b"POST /posts HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\n")
    await asyncio.sleep(0.1)
    with suppress(ConnectionError):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: smuggled\r\n\r\n")
        await writer.drain()
    answers = b""
    with suppress(ConnectionError):  # what came too late is answered with a reset
        while data := await asyncio.wait_for(reader.read(2**16), 5):
            answers += data
    writer.close()
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"Connection: close") == 1
