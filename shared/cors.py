"""Which pages of other origins may call a service from a browser (CORS, the Fetch standard).

No credentials are allowed with it: tokens travel in a header that a page sets itself, never in a cookie.
"""

from collections.abc import Collection, Mapping

from aiohttp import hdrs, web

MAX_AGE_SECONDS = 600
"""How long a browser may remember the answer to a preflight."""

_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
_EXPOSED_HEADERS = "ETag, Link, Location, Retry-After, Server-Timing, WWW-Authenticate, X-Request-ID"


def headers(request: web.BaseRequest, origins: Collection[str], *, database_asked: bool) -> Mapping[str, str]:
    """What an answer to this request needs, so that a page of an allowed origin can read it.

    Such a page is also told whether the service asked its database for this answer: `Server-Timing: database`.
    """
    if not origins:
        return {}
    # a cache must not give one origin what was made for another, or for none
    varies: dict[str, str] = {hdrs.VARY: hdrs.ORIGIN}
    origin = request.headers.get(hdrs.ORIGIN, "")
    if origin not in origins:
        return varies
    return {
        **varies,
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
        hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: _EXPOSED_HEADERS,
        **({"Server-Timing": "database"} if database_asked else {}),
    }


def preflight(request: web.Request, allowed: str, origins: Collection[str]) -> web.Response:
    """Answer OPTIONS: the methods of this address, and to a page of an allowed origin that it may use them."""
    answer = {hdrs.ALLOW: allowed}
    if request.headers.get(hdrs.ORIGIN) in origins and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        answer |= {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: allowed,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
        }
    return web.Response(status=204, headers=answer)
