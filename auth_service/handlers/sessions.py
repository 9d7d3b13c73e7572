"""Sessions over HTTP. For a log-in, Accounts checks the password and Sessions opens the session."""

from uuid import UUID

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of, tokens
from shared.http import body
from shared.http.application import CLOCK
from shared.http.bearer import CLAIMS


async def login(request: web.Request, given: schemas.Login) -> web.Response:
    """POST /login: sign in, and get an access token and a refresh token."""
    client = client_of(request)
    user, password_hash = await request.app[ACCOUNTS].authenticate(given.email, given.password, client)
    return tokens(await request.app[SESSIONS].open(user, password_hash, client, request.app[CLOCK]()))


async def refresh(request: web.Request, key: str | None, given: schemas.Refresh) -> web.Response:
    """POST /refresh: exchange a refresh token for new tokens."""
    now = request.app[CLOCK]()
    return tokens(await request.app[SESSIONS].refresh(given.refresh_token, key, client_of(request), now))


async def logout(request: web.Request, given: schemas.Refresh | None) -> web.Response:
    """POST /logout: end the session of the refresh token in the body, of the bearer token, or both."""
    if given is not None:
        await request.app[SESSIONS].log_out(given.refresh_token, client_of(request))
    if CLAIMS in request:
        await request.app[SESSIONS].log_out_by(request[CLAIMS], client_of(request))
    return web.Response(status=204)


async def everywhere(request: web.Request) -> web.Response:
    """GET /sessions: list where you are signed in."""
    claims = request[CLAIMS]
    sessions = await request.app[SESSIONS].list(claims)
    return body.response(schemas.SESSIONS, schemas.SessionList.of(sessions, claims.sid))


async def end(request: web.Request, session_id: UUID) -> web.Response:
    """DELETE /sessions/{id}: end one of your sessions."""
    await request.app[SESSIONS].end(request[CLAIMS], session_id, client_of(request))
    return web.Response(status=204)


async def end_all(request: web.Request) -> web.Response:
    """DELETE /sessions: end all your sessions, including this one."""
    await request.app[SESSIONS].end_all(request[CLAIMS], client_of(request), request.app[CLOCK]())
    return web.Response(status=204)
