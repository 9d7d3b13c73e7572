"""The client's address, directly or behind proxies."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from auth_service.settings import Settings
from dev.service_process import ROOT
from shared.errors import StartupError
from shared.http.client_address import _warn_of_proxy, client_address, networks_of

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
    ("address", "networks"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:db8:1:2::1", ["2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"]),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", ["2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"]),
        ("2001:db8:1:102::1", ["2001:db8:1:102::/64", "2001:db8:1:100::/56", "2001:db8:1::/48"]),
        ("2001:db8:2:2::1", ["2001:db8:2:2::/64", "2001:db8:2::/56", "2001:db8:2::/48"]),
        ("::1", ["::/64", "::/56", "::/48"]),
    ],
)
def test_a_network_is_an_ipv4_address_or_an_ipv6_64_56_and_48(address: str, networks: list[str]) -> None:
    """Guesses are counted by the IPv4 address, or by each of the blocks of IPv6 that one customer may have."""
    assert networks_of(address) == networks


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The warnings so far, in a process that has not warned yet."""
    _warn_of_proxy.cache_clear()
    yield lambda: [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    _warn_of_proxy.cache_clear()


async def test_an_unexpected_proxy_is_reported_once(base: str, warnings: Callable[[], list[str]]) -> None:
    """If TRUSTED_PROXIES is 0 and a request has X-Forwarded-For, the log says once what to do, without the value."""
    for _ in range(3):
        await address(base, 0, "192.0.2.77")
    [warning] = warnings()
    assert "set TRUSTED_PROXIES to the number of your proxies" in warning
    assert "192.0.2" not in warning


async def test_an_expected_proxy_is_not_reported(base: str, warnings: Callable[[], list[str]]) -> None:
    """Without the header, or with TRUSTED_PROXIES set, there is nothing to warn of."""
    await address(base, 0)
    await address(base, 1, "192.0.2.77")
    assert warnings() == []


def test_compose_passes_trusted_proxies_on() -> None:
    """In docker-compose.yml, auth gets TRUSTED_PROXIES from the caller's environment; by default it is 0."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    auth = compose.partition("\n  auth:\n")[2].partition("\n\n")[0]
    assert "      TRUSTED_PROXIES: ${TRUSTED_PROXIES:-0}\n" in auth
