"""Where a request comes from, also behind proxies that one has said to trust."""

from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

IPV6_PREFIX = 64
"""What one customer of a provider has at least: addresses inside are the same client's."""


def client_address(request: web.Request, trusted_proxies: int) -> str:
    """The client's address.

    Args:
        request: What came in.
        trusted_proxies: How many proxies of one's own stand in front. Each appends whom it heard from to
            X-Forwarded-For, so the client is that many entries from the right; all before it is the client's own say
            and is never believed. 0: nobody stands in front, and the header is not read.
    """
    peer = request.remote or "0.0.0.0"  # noqa: S104  no address: a socket of this machine
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
    """What guesses are counted by: an IPv4 address, or the /64 of an IPv6 one."""
    parsed = ip_address(address)
    return str(ip_network((parsed, IPV6_PREFIX), strict=False)) if isinstance(parsed, IPv6Address) else address


def _plain(text: str) -> str:
    """The address alone, as `2001:db8::1`: proxies also write `[2001:db8::1]:443`, `192.0.2.1:443`, `fe80::1%eth0`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = ip_address(text.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)
