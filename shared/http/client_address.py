"""The client's address, even behind trusted proxies."""

import logging
from collections.abc import Sequence
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import hdrs, web

IPV6_PREFIXES = (64, 56, 48)
"""The blocks that providers assign to a customer, from the smallest to the largest."""

_log = logging.getLogger(__name__)


def client_address(request: web.Request, trusted_proxies: int) -> str:
    """Return the client's address.

    Args:
        request: The request.
        trusted_proxies: The number of your own proxies in front. Each appends the address it heard from to
            X-Forwarded-For, so the client is that many entries from the right; anything further left was sent by the
            client and is never believed. 0 means that the header is not read.
    """
    peer = request.remote or "0.0.0.0"  # noqa: S104  a local socket has no address
    if trusted_proxies == 0:
        if hdrs.X_FORWARDED_FOR in request.headers:
            _warn_of_proxy()
        return _plain(peer)
    forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
    if len(forwarded) < trusted_proxies:
        return _plain(peer)
    try:
        return _plain(forwarded[-trusted_proxies].strip())
    except ValueError:
        return _plain(peer)


def networks_of(address: str) -> Sequence[str]:
    """Return what guesses are counted by, the narrowest first: an IPv4 address, or IPv6 blocks of IPV6_PREFIXES."""
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return [address]
    return [str(ip_network((parsed, prefix), strict=False)) for prefix in IPV6_PREFIXES]


@cache  # once per process: a client can send the header with every request
def _warn_of_proxy() -> None:
    _log.warning(
        "A request had an X-Forwarded-For header, which is ignored because TRUSTED_PROXIES is 0. If your own proxy is"
        " in front of this service, all its clients count as one: set TRUSTED_PROXIES to the number of your proxies."
        " If there is no proxy, a client made the header up, and there is nothing to do."
    )


def _plain(text: str) -> str:
    """Return the bare address; proxies also write `[2001:db8::1]:443`, `192.0.2.1:443` or `fe80::1%eth0`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = ip_address(text.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)
