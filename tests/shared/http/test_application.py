"""What all responses have in common, over real sockets."""

import asyncio
import json

import pytest

from tests.api_client import Pair


@pytest.fixture(params=["auth", "posts"])
def base(pair: Pair, request: pytest.FixtureRequest) -> str:
    """The base URL of either service."""
    return str(getattr(pair, request.param))


@pytest.fixture
def path(base: str, pair: Pair) -> str:
    """A path that takes a JSON body."""
    return "/login" if base == pair.auth else "/posts"


@pytest.fixture
async def token(pair: Pair) -> str:
    """The access token of a new user."""
    return (await pair.sign_up()).token


async def test_an_unknown_path_gets_problem_json(pair: Pair, base: str) -> None:
    """404 has the usual error body, with the same request id as the header."""
    reply = await pair.call("GET", f"{base}/nothing")
    assert reply.status == 404
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.body == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address",
        "code": "not_found",
        "request_id": reply.headers["X-Request-ID"],
    }


async def test_a_wrong_method_gets_the_allowed_ones(pair: Pair, base: str, path: str) -> None:
    """405 lists the methods that the path supports in Allow."""
    reply = await pair.call("PUT", base + path)
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert "POST" in reply.headers["Allow"]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json, text/plain",
        pytest.param("application/json " + "(" * 400, id="parentheses"),
        pytest.param("application/json;" + ";" * 8000, id="semicolons"),
        pytest.param("application/json;" + 'a="' * 2500, id="quotes"),
        pytest.param("application/json;" + "a=b;" * 1990, id="parameters"),
    ],
)
async def test_a_body_must_be_declared_as_json(pair: Pair, base: str, path: str, token: str, content_type: str) -> None:
    """A body that is not declared as JSON in UTF-8 gets 415."""
    reply = await pair.call("POST", base + path, token=token, data=b"{}", headers={"Content-Type": content_type})
    assert (reply.status, reply.code) == (415, "media_type_unsupported")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON ;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json;v=1;",
    ],
)
async def test_json_may_be_declared_in_any_spelling(
    pair: Pair, base: str, path: str, token: str, content_type: str
) -> None:
    """Case, spaces, quotes and other parameters in Content-Type make no difference."""
    reply = await pair.call("POST", base + path, token=token, data=b"{}", headers={"Content-Type": content_type})
    assert (reply.status, reply.code) == (422, "validation_failed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        json.dumps({}).encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 8000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_a_body_must_be_one_strict_json_object(pair: Pair, base: str, path: str, token: str, body: bytes) -> None:
    """A body that isn't a JSON object, or that parsers could read differently, gets 400 body_malformed."""
    reply = await pair.call("POST", base + path, token=token, data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (400, "body_malformed")


@pytest.mark.slow
async def test_a_list_of_errors_is_limited(pair: Pair, token: str) -> None:
    """However many unknown fields or parameters are sent, the error names 20 at most."""
    body = json.dumps({f"field{number}": 1 for number in range(100_000)}).encode()
    reply = await pair.call(
        "POST", f"{pair.posts}/posts", token=token, data=body, headers={"Content-Type": "application/json"}
    )
    assert (reply.status, reply.code) == (400, "body_malformed")
    some = {f"field{number}": 1 for number in range(40)}
    assert len((await pair.call("POST", f"{pair.posts}/posts", some, token)).body["errors"]) == 20
    many = "&".join(f"p{number}=1" for number in range(500))
    assert len((await pair.call("GET", f"{pair.posts}/posts?{many}", token=token)).body["errors"]) == 20


async def test_a_body_of_100_000_levels_is_refused(pair: Pair, token: str) -> None:
    """Even extremely deep nesting only gets 400 body_malformed."""
    body = b"[" * 100_000 + b"]" * 100_000
    reply = await pair.call(
        "POST", f"{pair.posts}/posts", token=token, data=body, headers={"Content-Type": "application/json"}
    )
    assert (reply.status, reply.code) == (400, "body_malformed")


async def test_a_body_has_a_limit(pair: Pair, base: str, path: str, token: str) -> None:
    """A body over the service's limit gets 413 with the limit."""
    limit = 16 * 1024 if base == pair.auth else 2 * 1024 * 1024
    body = json.dumps({"email": "x" * limit}).encode()
    reply = await pair.call("POST", base + path, token=token, data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert str(limit) in reply.body["detail"]


async def test_nothing_names_the_software(pair: Pair, base: str) -> None:
    """No header names a library or its version."""
    for url in (f"{base}/health/live", f"{base}/nothing"):
        reply = await pair.call("GET", url)
        assert "Server" not in reply.headers
        assert not any("aiohttp" in value.lower() or "python" in value.lower() for value in reply.headers.values())


async def test_a_caller_can_bring_the_request_id(pair: Pair, base: str) -> None:
    """A well-formed X-Request-ID is kept; any other is replaced."""
    given = await pair.call("GET", f"{base}/health/live", headers={"X-Request-ID": "order-66.A_b"})
    assert given.headers["X-Request-ID"] == "order-66.A_b"
    for strange in ("a b", "x" * 65, "<b>", ""):
        reply = await pair.call("GET", f"{base}/health/live", headers={"X-Request-ID": strange})
        assert reply.headers["X-Request-ID"] != strange


async def test_head_has_the_headers_of_get(pair: Pair, base: str) -> None:
    """HEAD returns the same status and Content-Length as GET, without the body."""
    get, head = await pair.call("GET", f"{base}/health/live"), await pair.call("HEAD", f"{base}/health/live")
    assert (head.status, head.body) == (200, None)
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_ready_names_the_keys_by_id(pair: Pair) -> None:
    """Both services list the ids of their keys, so that a mismatch shows, but never the keys."""
    auth = await pair.call("GET", f"{pair.auth}/health/ready")
    posts = await pair.call("GET", f"{pair.posts}/health/ready")
    assert auth.status == posts.status == 200
    [private] = auth.body.pop("private_kids")
    assert posts.body.pop("private_kids") is None
    assert private not in auth.body["kids"]
    assert (
        auth.body
        == posts.body
        == {
            "status": "ready",
            "database": "ok",
            "keyring": "ok",
            "kids": auth.body["kids"],
        }
    )
    assert [len(kid) for kid in auth.body["kids"]] == [16]


async def test_a_client_that_stops_sending_gets_408(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time gets 408."""
    monkeypatch.setattr("shared.http.body.READ_SECONDS", 0.05)
    host, port = pair.auth.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in await reader.readuntil(b'"request_id"')
    writer.close()
    await writer.wait_closed()
