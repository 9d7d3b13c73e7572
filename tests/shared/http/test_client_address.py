"""The client's address, directly or behind proxies."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from auth_service.settings import Settings
from shared.errors import StartupError
from shared.http.client_address import client_address, network_of

PEER = "127.0.0.1"
"""The address that the tests connect from."""


@pytest.fixture(scope="module")
async def base() -> AsyncIterator[str]:
    """A service that returns the client's address; the path is the number of trusted proxies."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=client_address(request, int(request.match_info["proxies"])))

    app = web.Application()
    app.router.add_get("/{proxies}", tell)
    server = TestServer(app, host=PEER)
    await server.start_server()
    yield f"http://{PEER}:{server.port}"
    await server.close()


async def address(base: str, proxies: int, *headers: str, name: str = "X-Forwarded-For") -> str:
    """Send a request with these headers, and return the client's address that the service found."""
    async with (
        ClientSession() as http,
        http.get(f"{base}/{proxies}", headers=CIMultiDict((name, value) for value in headers)) as response,
    ):
        assert response.status == 200
        return await response.text()


@pytest.mark.parametrize("headers", [(), ("192.0.2.1",), ("192.0.2.1, 192.0.2.2",), ("192.0.2.1", "192.0.2.2"), ("x",)])
async def test_without_trusted_proxies_the_header_is_not_read(base: str, headers: tuple[str, ...]) -> None:
    """Without trusted proxies, the address is that of the connection, whatever the client claims."""
    assert await address(base, 0, *headers) == PEER


def test_no_proxy_is_trusted_by_default(keyring_file: Path) -> None:
    """TRUSTED_PROXIES is 0 unless it is set, and can't be less."""
    environment = {"DATABASE_URL": "postgresql://u:p@127.0.0.1/d", "JWT_KEYRING_FILE": str(keyring_file)}
    assert Settings.from_environ(environment).trusted_proxies == 0
    with pytest.raises(StartupError, match="TRUSTED_PROXIES"):
        Settings.from_environ({**environment, "TRUSTED_PROXIES": "-1"})


@pytest.mark.parametrize(
    ("proxies", "headers", "found"),
    [
        (1, ("192.0.2.1",), "192.0.2.1"),
        (1, ("198.51.100.9, 192.0.2.1",), "192.0.2.1"),
        (2, ("192.0.2.1, 10.0.0.1",), "192.0.2.1"),
        (2, ("198.51.100.9, 198.51.100.8, 192.0.2.1, 10.0.0.1",), "192.0.2.1"),
        (3, ("198.51.100.9,192.0.2.1,10.0.0.1,10.0.0.2",), "192.0.2.1"),
        # a proxy may add a second header instead of appending to the first
        (1, ("198.51.100.9", "192.0.2.1"), "192.0.2.1"),
        (2, ("198.51.100.9, 198.51.100.8", "192.0.2.1", "10.0.0.1"), "192.0.2.1"),
        (2, ("198.51.100.9", "192.0.2.1, 10.0.0.1"), "192.0.2.1"),
        # entries further left may be anything
        (1, ("unknown, , ::, \t;,192.0.2.1 ",), "192.0.2.1"),
        (2, (",,,", "192.0.2.1", "10.0.0.1"), "192.0.2.1"),
    ],
)
async def test_hops_are_counted_from_the_right(base: str, proxies: int, headers: tuple[str, ...], found: str) -> None:
    """With N trusted proxies, the client is the Nth entry from the right; entries before it are ignored."""
    assert await address(base, proxies, *headers) == found


@pytest.mark.parametrize(
    ("proxies", "headers"),
    [
        (1, ()),
        (1, ("",)),
        (2, ("192.0.2.1",)),
        (3, ("192.0.2.1", "10.0.0.1")),
        (1, ("192.0.2.1, unknown",)),
        (1, ("192.0.2.1,",)),
        (1, ("192.0.2.1, 192.0.2.999",)),
        (1, ("192.0.2.1, 010.0.0.1",)),
        (1, ("192.0.2.1, 10.1",)),
        (1, ("192.0.2.1, 2001:db8::1::",)),
        (1, ("192.0.2.1, 192.0.2.2/24",)),
        (1, ("192.0.2.1, _hidden",)),
        (1, ("192.0.2.1, example.com",)),
        (1, ("192.0.2.1, \u0661\u0669\u0662.0.2.1",)),
        (1, ("192.0.2.1, " + "9" * 5000,)),
        (1, ("192.0.2.1, [",)),
        (1, ("192.0.2.1, :443",)),
        (1, ("192.0.2.1, %eth0",)),
        (2, ("192.0.2.1, , 10.0.0.1",)),
    ],
)
async def test_a_malformed_header_is_ignored(base: str, proxies: int, headers: tuple[str, ...]) -> None:
    """If there are fewer entries than proxies, or the entry is not an address, the connection's address counts."""
    assert await address(base, proxies, *headers) == PEER


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Forwarded-For-2"])
async def test_no_other_header_counts(base: str, name: str) -> None:
    """Only X-Forwarded-For is read."""
    assert await address(base, 1, "192.0.2.1", name=name) == PEER


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("192.0.2.1:51234", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("[::FFFF:192.0.2.1]:443", "192.0.2.1"),
    ],
)
async def test_an_address_has_one_form(base: str, entry: str, found: str) -> None:
    """The same address has the same form, whether a proxy wrote it with a port, a zone or as IPv4-mapped IPv6."""
    assert await address(base, 1, entry) == found


async def test_a_connection_over_ipv6() -> None:
    """The address of an IPv6 connection is its peer's, whatever an untrusted header says."""
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=client_address(request, 0))

    app = web.Application()
    app.router.add_get("/0", tell)
    server = TestServer(app, host="::1")
    try:
        await server.start_server()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert await address(f"http://[::1]:{server.port}", 0, "192.0.2.1") == "::1"
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::1", "::2", True),
        ("0.0.0.1", "::1", False),
    ],
)
def test_a_network_is_an_ipv4_address_or_an_ipv6_64(one: str, other: str, *, same: bool) -> None:
    """Log-in attempts are counted per IPv4 address or per IPv6 /64."""
    assert (network_of(one) == network_of(other)) == same
