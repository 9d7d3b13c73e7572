"""Which pages of other origins may call a service from a browser (CORS, the Fetch standard).

Credentials are not allowed: a page sends its token in a header that it sets itself, never in a cookie.
"""

from collections.abc import Collection, Mapping

from aiohttp import hdrs, web

from shared.http.routes import Handler

MAX_AGE_SECONDS = 600
"""How long a browser may cache the answer to a preflight."""

_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
_EXPOSED_HEADERS = "ETag, Link, Location, Retry-After, Server-Timing, WWW-Authenticate, X-Request-ID"


def headers(request: web.BaseRequest, origins: Collection[str], *, database_asked: bool) -> Mapping[str, str]:
    """Return the headers with which a page of an allowed origin can read the answer.

    `Server-Timing: database` also tells such a page that the service used its database for this answer.
    """
    if not origins:
        return {}
    # a cache must not serve an answer made for one origin, or for none, to another
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


def preflight(allowed: str, origins: Collection[str]) -> Handler:
    """Make the OPTIONS handler of an address with these methods."""

    async def options(request: web.Request) -> web.Response:
        answer = {hdrs.ALLOW: allowed}
        if request.headers.get(hdrs.ORIGIN) in origins and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            answer |= {
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: allowed,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
            }
        return web.Response(status=204, headers=answer)

    return options
