"""What comes before HTTP, over a bare socket."""

import json

import pytest

from tests.pair import Pair
from tests.wire import exchange


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
async def test_bytes_that_are_no_http_get_the_same_kind_of_error(pair: Pair, data: bytes) -> None:
    """What can't be parsed as HTTP is answered with problem+json in HTTP/1.1, without naming any software."""
    for base in (pair.auth, pair.posts):
        status, headers, body = await exchange(base, data)
        assert status == b"HTTP/1.1 400 Bad Request"
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["Connection"] == "close"
        assert "Server" not in headers
        problem = json.loads(body)
        assert problem["code"] == "request_malformed"
        assert problem["request_id"] == headers["X-Request-ID"]


async def test_an_expectation_is_met_or_ignored(pair: Pair) -> None:
    """`Expect: 100-continue` gets its 100; an unknown expectation changes nothing."""
    head = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: %s\r\n\r\n"
    status, _, rest = await exchange(pair.posts, head % b"100-continue")
    assert status == b"HTTP/1.1 100 Continue"
    assert rest.startswith(b"HTTP/1.1 200 OK")
    status, _, _ = await exchange(pair.posts, head % b"the-unexpected")
    assert status == b"HTTP/1.1 200 OK"
