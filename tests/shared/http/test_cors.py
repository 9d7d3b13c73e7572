"""CORS headers for pages of other origins, and the answers to OPTIONS."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.api_client import Pair, Reply, auth_app, posts_app, served
from tests.postgres import Server
from tests.posts_service.board import person

APP, LOCAL = "https://app.example.com", "http://localhost:3000"
STRANGERS = [
    "https://evil.example.com", "https://app.example.com.evil.example", "http://app.example.com", "null", "*", "",
    "https://app.example.com:444", "https://APP.example.com", "https://app.example.com/", "http://localhost:30001",
    f"{APP},{LOCAL}", "https://app.example.co",
]  # fmt: skip
EXPOSED = {"ETag", "Link", "Location", "Retry-After", "WWW-Authenticate"}


@pytest.fixture(scope="module")
async def open_pair(database_server: Server, keyring_file: Path) -> AsyncIterator[Pair]:
    """Both services, each with two allowed origins."""
    auth_database, posts_database = await database_server.create_database(), await database_server.create_database()
    origins = f"{APP},{LOCAL}"
    async with (
        served(auth_app(auth_database, keyring_file, cors_origins=origins)) as auth,
        served(posts_app(posts_database, keyring_file, cors_origins=origins)) as posts,
        ClientSession() as http,
    ):
        yield Pair(auth, posts, http)
    await database_server.drop_database(auth_database)
    await database_server.drop_database(posts_database)


def words(reply: Reply, header: str) -> set[str]:
    """The elements of a list header."""
    return {word.strip() for word in reply.headers[header].split(",")}


def cors_headers(reply: Reply) -> dict[str, str]:
    """The CORS headers of a reply."""
    return {name: value for name, value in reply.headers.items() if name.lower().startswith("access-control-")}


@pytest.mark.parametrize(
    ("address", "method", "asked"),
    [
        ("posts /posts", "POST", "authorization,content-type,idempotency-key"),
        ("posts /posts/1", "PATCH", "authorization,content-type,if-match"),
        ("posts /posts/1", "DELETE", "authorization,if-match,x-request-id"),
        ("posts /posts/1", "GET", "authorization,if-none-match"),
        ("auth /login", "POST", "content-type"),
    ],
)
@pytest.mark.parametrize("origin", [APP, LOCAL])
async def test_a_preflight_is_answered(open_pair: Pair, origin: str, address: str, method: str, asked: str) -> None:
    """A preflight from an allowed origin needs no token and allows the methods and headers that the API uses."""
    service, path = address.split()
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": asked}
    reply = await open_pair.call("OPTIONS", getattr(open_pair, service) + path, headers=headers)
    assert (reply.status, reply.body) == (204, None)
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert method in words(reply, "Access-Control-Allow-Methods")
    allowed = {word.lower() for word in words(reply, "Access-Control-Allow-Headers")}
    assert set(asked.split(",")) <= allowed
    assert int(reply.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in reply.headers
    assert "Origin" in words(reply, "Vary")


async def test_what_a_page_needs_is_exposed(open_pair: Pair, keyring_file: Path) -> None:
    """A response to an allowed origin names that origin, exposes the API's headers, and varies by origin."""
    token = person(keyring_file).token
    for origin in (APP, LOCAL):
        headers = {"Origin": origin}
        written = await open_pair.call(
            "POST", f"{open_pair.posts}/posts", {"title": "t", "body": "b"}, token, headers=headers
        )
        url = open_pair.posts + written.headers["Location"]
        known = await open_pair.call("GET", url, token=token, headers={**headers, "If-None-Match": '"1"'})
        listed = await open_pair.call("GET", f"{open_pair.posts}/posts?limit=1", token=token, headers=headers)
        deleted = await open_pair.call("DELETE", url, token=token, headers=headers)
        assert [reply.status for reply in (written, known, listed, deleted)] == [201, 304, 200, 204]
        for reply in (written, known, listed, deleted):
            assert reply.headers["Access-Control-Allow-Origin"] == origin
            assert words(reply, "Access-Control-Expose-Headers") >= EXPOSED
            assert words(reply, "Vary") == {"Origin"}


@pytest.mark.parametrize(
    ("call", "options", "status"),
    [
        ("posts GET /posts", {}, 401),
        ("posts GET /posts/0", {"scope": "posts:read"}, 404),
        ("posts POST /posts", {"scope": "posts:read"}, 403),
        ("posts GET /posts?limit=0", {"scope": "posts:read"}, 400),
        ("posts POST /posts", {"scope": "posts:write", "json": {}}, 422),
        ("posts POST /posts", {"scope": "posts:write", "data": b"{}"}, 415),
        ("posts PUT /posts", {}, 405),
        ("posts GET /nothing", {}, 404),
        ("auth POST /login", {"json": {"email": "a@example.com", "password": "x"}}, 401),
    ],
)
async def test_a_page_can_read_an_error(
    open_pair: Pair, keyring_file: Path, call: str, options: dict[str, Any], status: int
) -> None:
    """Errors have the same CORS headers; without them, a page would see only a network error."""
    service, method, path = call.split()
    token = person(keyring_file, scope=options["scope"]).token if "scope" in options else None
    sent = {name: value for name, value in options.items() if name != "scope"}
    url = getattr(open_pair, service) + path
    reply = await open_pair.call(method, url, token=token, headers={"Origin": APP}, **sent)
    assert reply.status == status, reply
    assert reply.headers["Access-Control-Allow-Origin"] == APP
    assert words(reply, "Access-Control-Expose-Headers") >= EXPOSED
    assert words(reply, "Vary") == {"Origin"}


async def test_a_page_learns_whether_the_database_was_queried(open_pair: Pair, keyring_file: Path) -> None:
    """Server-Timing names the database if and only if this response needed it, even on a reused connection."""
    posts, token = f"{open_pair.posts}/posts", person(keyring_file).token
    for call, asked in (
        ({"url": posts, "token": token}, True),
        ({"url": posts, "token": token[:-3]}, False),
        ({"url": f"{posts}/1", "token": person(keyring_file, scope="").token}, False),
        ({"url": f"{posts}/1", "token": token}, True),
        ({"url": f"{open_pair.posts}/health/live"}, False),
        ({"url": f"{open_pair.posts}/health/ready"}, True),
        ({"url": f"{open_pair.auth}/me", "token": token[:-3]}, False),
    ):
        reply = await open_pair.call("GET", **call, headers={"Origin": APP})
        assert reply.headers.get("Server-Timing") == ("database" if asked else None), call
        assert "Server-Timing" in words(reply, "Access-Control-Expose-Headers")
        # only pages of allowed origins get the header
        assert "Server-Timing" not in (await open_pair.call("GET", **call)).headers


@pytest.mark.parametrize("origin", STRANGERS)
async def test_other_origins_get_nothing(open_pair: Pair, origin: str) -> None:
    """Other origins get no CORS headers, neither for a preflight nor for a request; both vary by origin."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for method, path in (("OPTIONS", "/posts"), ("GET", "/posts"), ("GET", "/health/live")):
        reply = await open_pair.call(method, open_pair.posts + path, headers=headers)
        assert cors_headers(reply) == {}
        assert words(reply, "Vary") == {"Origin"}


async def test_without_an_origin_the_response_still_varies(open_pair: Pair) -> None:
    """A response to a request without Origin varies by origin too, so that no cache serves it to a page."""
    reply = await open_pair.call("GET", f"{open_pair.posts}/posts")
    assert cors_headers(reply) == {}
    assert words(reply, "Vary") == {"Origin"}


async def test_options_without_a_request_method_is_no_preflight(open_pair: Pair) -> None:
    """OPTIONS without Access-Control-Request-Method is not a preflight, even from an allowed origin."""
    reply = await open_pair.call("OPTIONS", f"{open_pair.posts}/posts", headers={"Origin": APP})
    assert reply.status == 204
    assert "Access-Control-Allow-Methods" not in reply.headers


async def test_without_allowed_origins_there_are_no_cors_headers(pair: Pair) -> None:
    """A service without CORS_ORIGINS sends neither CORS headers nor Vary."""
    headers = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    for base in (pair.auth, pair.posts):
        for method, path in (("OPTIONS", "/health/live"), ("GET", "/health/live"), ("GET", "/nothing")):
            reply = await pair.call(method, base + path, headers=headers)
            assert cors_headers(reply) == {}
            assert "Vary" not in reply.headers


@pytest.mark.parametrize(
    ("service", "path", "methods"),
    [
        ("posts", "/posts", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
        ("posts", "/posts/1", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("posts", "/posts/nothing-like-an-id", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("posts", "/health/ready", {"GET", "HEAD", "OPTIONS"}),
        ("auth", "/login", {"POST", "OPTIONS"}),
    ],
)
async def test_options_names_the_methods(pair: Pair, service: str, path: str, methods: set[str]) -> None:
    """OPTIONS needs no token and lists in Allow exactly the methods that the path supports."""
    url = getattr(pair, service) + path
    reply = await pair.call("OPTIONS", url)
    assert (reply.status, reply.body, words(reply, "Allow")) == (204, None, methods)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        answered = (await pair.call(method, url)).status
        assert (answered == 405) == (method not in methods), (method, answered)


async def test_options_of_an_unknown_path_is_not_found(pair: Pair) -> None:
    """OPTIONS of an unknown path gets 404."""
    for base in (pair.auth, pair.posts):
        assert (await pair.call("OPTIONS", f"{base}/nothing")).status == 404
