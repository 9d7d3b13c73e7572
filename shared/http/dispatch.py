"""From a request to its handler: check the token, read what the row says, and call the handler with typed values."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from shared.http import bearer, body, query
from shared.http.routes import OPTIONAL, PUBLIC, ROUTE, Route
from shared.tokens.errors import TokenRefused
from shared.tokens.verifier import Verifier

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


def endpoint(route: Route, verifier: Verifier, clock: Callable[[], float]) -> Endpoint:
    """Build what aiohttp calls for a row.

    The scope is checked before anything is read. A token in the query string or in a cookie is never looked at.
    """

    async def call(request: web.Request) -> web.StreamResponse:
        request[ROUTE] = route
        if route.access != PUBLIC and (route.access != OPTIONAL or bearer.is_sent(request)):
            try:
                request[bearer.CLAIMS] = await bearer.authenticate(request, verifier, route.access, clock())
            except (TokenRefused, bearer.AuthorizationInvalid):
                if not (route.body_optional and request.body_exists):  # the body identifies the client as well
                    raise
        values: list[object] = []
        if route.id is not None:
            values.append(route.id.read(request.match_info["id"]))
        values += [header.read(request.headers.getall(header.name, [])) for header in route.headers]
        if route.query is not None:
            values.append(query.read(request.query, route.query))
        if route.body is not None:
            absent = route.body_optional and bearer.CLAIMS in request and not request.body_exists
            values.append(None if absent else await body.read(request, route.body, route.media_types))
        return await route.handler(request, *values)

    return call


def register(app: web.Application, route: Route, verifier: Verifier, clock: Callable[[], float]) -> None:
    """Add a row to an application's router; GET rows answer HEAD too."""
    call = endpoint(route, verifier, clock)
    if route.method == hdrs.METH_GET:
        app.router.add_get(route.path, call)
    else:
        app.router.add_route(route.method, route.path, call)
