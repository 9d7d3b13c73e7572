"""The client's address, even behind trusted proxies."""

from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

IPV6_PREFIX = 64
"""The smallest block that a provider assigns to a customer; addresses inside belong to one client."""


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
        return _plain(peer)
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    if len(forwarded) < trusted_proxies:
        return _plain(peer)
    try:
        return _plain(forwarded[-trusted_proxies].strip())
    except ValueError:
        return _plain(peer)


def network_of(address: str) -> str:
    """Return what guesses are counted by: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = ip_address(address)
    return str(ip_network((parsed, IPV6_PREFIX), strict=False)) if isinstance(parsed, IPv6Address) else address


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
