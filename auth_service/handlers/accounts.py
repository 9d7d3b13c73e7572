"""The signed-in account over HTTP."""

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of
from auth_service.model import User
from shared import body
from shared.bearer import CLAIMS


async def register(request: web.Request) -> web.Response:
    """POST /register: open an account."""
    wanted = await body.read(request, schemas.Registration)
    user = await request.app[ACCOUNTS].register(wanted.email, wanted.password, wanted.name, client_of(request))
    return body.response(schemas.ACCOUNT, schemas.Account.of(user), status=201)


async def me(request: web.Request) -> web.Response:
    """GET /me: the account that the token belongs to."""
    return body.response(schemas.ACCOUNT, schemas.Account.of(await _user(request)))


async def rename(request: web.Request) -> web.Response:
    """PATCH /me: change the name of the account."""
    wanted = await body.read(request, schemas.Renaming)
    user = await _user(request)
    renamed = await request.app[ACCOUNTS].rename(user, wanted.name)
    return body.response(schemas.ACCOUNT, schemas.Account.of(renamed))


async def delete(request: web.Request) -> web.Response:
    """DELETE /me: delete the account; the password is asked for once more."""
    given = await body.read(request, schemas.Deletion)
    user = await _user(request)
    await request.app[ACCOUNTS].delete(user, given.password, client_of(request))
    return web.Response(status=204)


async def change_password(request: web.Request) -> web.Response:
    """POST /me/password: set a new password; all other sessions end."""
    given = await body.read(request, schemas.PasswordChange)
    user = await _user(request)
    await request.app[ACCOUNTS].change_password(
        user, request[CLAIMS].sid, given.current_password, given.new_password, client_of(request)
    )
    return web.Response(status=204)


async def _user(request: web.Request) -> User:
    return await request.app[SESSIONS].user_of(request[CLAIMS])
