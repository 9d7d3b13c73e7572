"""Accounts over HTTP."""

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS
from shared import body
from shared.bearer import CLAIMS


async def register(request: web.Request) -> web.Response:
    """POST /register: open an account."""
    wanted = await body.read(request, schemas.Registration)
    user = await request.app[ACCOUNTS].register(wanted.email, wanted.password, wanted.name)
    return body.response(schemas.ACCOUNT, schemas.Account.of(user), status=201)


async def me(request: web.Request) -> web.Response:
    """GET /me: the account that the token belongs to."""
    user = await request.app[SESSIONS].user_of(request[CLAIMS])
    return body.response(schemas.ACCOUNT, schemas.Account.of(user))
