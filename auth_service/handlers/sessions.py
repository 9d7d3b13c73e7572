"""Sessions over HTTP."""

from aiohttp import hdrs, web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS
from shared import body
from shared.service import CLOCK


async def login(request: web.Request) -> web.Response:
    """POST /login: a password for an access token."""
    given = await body.read(request, schemas.Login)
    user = await request.app[ACCOUNTS].authenticate(given.email, given.password)
    access = await request.app[SESSIONS].open(user, request.app[CLOCK]())
    return body.response(
        schemas.TOKENS,
        schemas.Tokens(access.token, "Bearer", access.expires_in, access.scope),
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )
