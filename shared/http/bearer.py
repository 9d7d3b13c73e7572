"""Bearer tokens (RFC 6750): reading the Authorization header, and deciding whether a token allows a route."""

import re
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import hdrs, web

from shared.errors import DomainError, Kind
from shared.http.errors import HttpError
from shared.http.routes import OPTIONAL, SIGNED_IN
from shared.tokens.claims import Claims
from shared.tokens.errors import TokenKeyUnknown
from shared.tokens.verifier import Verifier

CLAIMS: web.RequestKey[Claims] = web.RequestKey("claims", Claims)
"""Where a handler finds the claims of the verified token."""

# RFC 9110 section 11.4: a scheme, which is a token, then one or more spaces before the credentials
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")
_CREDENTIALS = re.compile(r" +([^ ].*)", re.DOTALL)


class AuthorizationInvalid(HttpError):
    """The Authorization header can't be parsed: there are two of them, or no token follows Bearer."""

    status, code, bearer_error = HTTPStatus.BAD_REQUEST, "authorization_invalid", "invalid_request"


class TokenMissing(DomainError):
    """The route needs an access token, and none was sent."""

    kind, code = Kind.UNAUTHENTICATED, "token_missing"


class ScopeMissing(DomainError):
    """The token is valid, but its scope doesn't allow this."""

    kind, code = Kind.SCOPE_INSUFFICIENT, "scope_missing"


async def authenticate(request: web.Request, verifier: Verifier, access: str, now: float) -> Claims:
    """Return the claims of the request's token.

    Args:
        request: The request.
        verifier: Decides about the token.
        access: The scope that the token must have, or SIGNED_IN or OPTIONAL for any scope.
        now: Seconds since the epoch.

    Raises:
        TokenMissing: no bearer token was sent.
        AuthorizationInvalid: the header can't be parsed.
        TokenRefused: the token is not accepted.
        ScopeMissing: the token is valid, without the scope.
    """
    token = _token(request.headers.getall(hdrs.AUTHORIZATION, []), verifier.accepts)
    keys = verifier.keyring.current
    try:
        claims = verifier.verify(token, now)
    except TokenKeyUnknown:
        # the key may be newer than the last check of the file
        if not await verifier.keyring.recheck(keys):
            raise
        claims = verifier.verify(token, now)
    if access not in (SIGNED_IN, OPTIONAL) and access not in claims.scope:
        raise ScopeMissing(
            f"This needs the scope '{access}'; the token has '{' '.join(sorted(claims.scope))}'",
            hint="Ask for a role that has this scope, then sign in again.",
        )
    return claims


def is_sent(request: web.Request) -> bool:
    """Return whether the request has a bearer token; other schemes are meant for someone else, such as a proxy."""
    return any(
        (scheme := _SCHEME.match(header)) is not None and scheme[0].lower() == "bearer"
        for header in request.headers.getall(hdrs.AUTHORIZATION, [])
    )


def _token(headers: Sequence[str], name: str) -> str:
    if len(headers) > 1:
        raise AuthorizationInvalid(f"The request has {len(headers)} Authorization headers; send one")
    scheme = _SCHEME.match(headers[0]) if headers else None
    if scheme is None or scheme[0].lower() != "bearer":
        raise TokenMissing(
            f"This needs the {name}", hint=f"Sign in at the auth service, and send 'Authorization: Bearer <{name}>'."
        )
    credentials = _CREDENTIALS.fullmatch(headers[0], scheme.end())
    if credentials is None:
        raise AuthorizationInvalid("The Authorization header says Bearer, but no token follows")
    return credentials[1]
