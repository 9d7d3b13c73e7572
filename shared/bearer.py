"""Authorization header -> Claims (RFC 6750): the middleware between a request and every route that wants a token."""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from shared.errors import Problem
from shared.routes import OPTIONAL, PUBLIC, ROUTE, SIGNED_IN, Handler, Route
from shared.tokens import Claims, TokenKeyUnknown, Verifier

CLAIMS: web.RequestKey[Claims] = web.RequestKey("claims", Claims)
"""Where a handler finds what the verified token says."""

# RFC 9110 section 11.4: a scheme, which is a token, and one or more spaces before the credentials
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")
_CREDENTIALS = re.compile(r" +([^ ].*)", re.DOTALL)
# RFC 6750 section 3: error_description takes no quotes, no backslash, no control characters
_UNQUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class AuthorizationInvalid(Problem):
    """The Authorization header can't be understood: there are two, or a Bearer without a token."""

    status, code, bearer_error = 400, "authorization_invalid", "invalid_request"


class TokenMissing(Problem):
    """The route wants a token, and none was sent."""

    status, code = 401, "token_missing"


class ScopeMissing(Problem):
    """The token is good, but does not allow this."""

    status, code, bearer_error = 403, "scope_missing", "insufficient_scope"


def middleware(verifier: Verifier, routes: Sequence[Route], clock: Callable[[], float]) -> Middleware:
    """Build the middleware that lets a request through to its handler once its token allows the route.

    The handler finds the route at ROUTE, and what a token says at CLAIMS.
    The scope is checked before the body is read. A token in the query or in a cookie is never looked at.
    """
    table: Mapping[tuple[str, str], Route] = {(route.method, route.path): route for route in routes}

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None:  # 404 and 405 have no resource, and nothing to protect
            return await handler(request)
        method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
        route = request[ROUTE] = table[method, resource.canonical]
        needed = route.access
        if needed != PUBLIC and (needed != OPTIONAL or _has_bearer(request)):
            request[CLAIMS] = await _allowed(request, verifier, needed, clock())
        return await handler(request)

    return authenticate


def challenge(problem: Problem, realm: str) -> str | None:
    """The WWW-Authenticate header for this error, or None where it needs none (RFC 6750 section 3).

    Every 401 has one; it tells of an error only where a token was sent.
    """
    if problem.bearer_error is not None:
        description = _UNQUOTABLE.sub("?", problem.detail)
        return f'Bearer realm="{realm}", error="{problem.bearer_error}", error_description="{description}"'
    return f'Bearer realm="{realm}"' if problem.status == HTTPStatus.UNAUTHORIZED else None


async def _allowed(request: web.Request, verifier: Verifier, needed: str, now: float) -> Claims:
    token = _token(request.headers.getall(hdrs.AUTHORIZATION, []))
    keys = verifier.keyring.current
    try:
        claims = verifier.verify(token, now)
    except TokenKeyUnknown:
        # the key may be newer than the last look at the file
        if not await verifier.keyring.look(keys):
            raise
        claims = verifier.verify(token, now)
    if needed not in (SIGNED_IN, OPTIONAL) and needed not in claims.scope:
        raise ScopeMissing(
            f"This needs the scope '{needed}'; the token has '{' '.join(sorted(claims.scope))}'",
            hint="A role that has this scope gives it, with the next log-in.",
        )
    return claims


def _has_bearer(request: web.Request) -> bool:
    """Whether a token is sent; credentials of another kind are for somebody else, a proxy perhaps."""
    return any(
        (scheme := _SCHEME.match(header)) is not None and scheme[0].lower() == "bearer"
        for header in request.headers.getall(hdrs.AUTHORIZATION, [])
    )


def _token(headers: Sequence[str]) -> str:
    if len(headers) > 1:
        raise AuthorizationInvalid(f"There are {len(headers)} Authorization headers, send one")
    scheme = _SCHEME.match(headers[0]) if headers else None
    if scheme is None or scheme[0].lower() != "bearer":
        raise TokenMissing(
            "This needs an access token", hint="Sign in at the auth service and send 'Authorization: Bearer <token>'."
        )
    credentials = _CREDENTIALS.fullmatch(headers[0], scheme.end())
    if credentials is None:
        raise AuthorizationInvalid("The Authorization header says Bearer, but no token follows after a space")
    return credentials[1]
