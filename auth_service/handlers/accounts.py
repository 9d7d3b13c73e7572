"""The signed-in user's account over HTTP."""

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of, tokens
from auth_service.model import User
from shared.http import body
from shared.http.application import CLOCK
from shared.http.bearer import CLAIMS


async def register(request: web.Request, new: schemas.Registration) -> web.Response:
    """POST /register: open an account."""
    user = await request.app[ACCOUNTS].register(new.email, new.password, new.name, client_of(request))
    return body.response(schemas.ACCOUNT, schemas.Account.of(user), status=201)


async def me(request: web.Request) -> web.Response:
    """GET /me: read your account."""
    return body.response(schemas.ACCOUNT, schemas.Account.of(await _user(request)))


async def rename(request: web.Request, wanted: schemas.Renaming) -> web.Response:
    """PATCH /me: change the name of your account."""
    renamed = await request.app[ACCOUNTS].rename(await _user(request), wanted.name)
    return body.response(schemas.ACCOUNT, schemas.Account.of(renamed))


async def delete(request: web.Request, given: schemas.Confirmation) -> web.Response:
    """DELETE /me: delete your account, with your password as confirmation."""
    await request.app[ACCOUNTS].delete(await _user(request), given.password, client_of(request))
    return web.Response(status=204)


async def change_password(request: web.Request, given: schemas.PasswordChange) -> web.Response:
    """POST /me/password: change your password; all other sessions end, and this one gets new tokens."""
    user, session_id, now = await _user(request), request[CLAIMS].sid, request.app[CLOCK]()
    user, new_id, token = await request.app[ACCOUNTS].change_password(
        user,
        session_id,
        current=given.current_password,
        new=given.new_password,
        client=client_of(request),
    )
    return tokens(request.app[SESSIONS].replaced(user, new_id, token, now))


async def verify(request: web.Request, given: schemas.Confirmation) -> web.Response:
    """POST /me/verify: confirm your password, for what asks for a recent confirmation."""
    user, now = await _user(request), request.app[CLOCK]()
    password_hash = await request.app[ACCOUNTS].prove(user, given.password, client_of(request))
    signed = await request.app[SESSIONS].renew(user, request[CLAIMS].sid, password_hash, now)
    shown = schemas.Verified(signed.access, signed.account, "Bearer", signed.expires_in, signed.scope)
    return body.response(schemas.VERIFIED, shown)


async def _user(request: web.Request) -> User:
    return await request.app[SESSIONS].user_of(request[CLAIMS])
