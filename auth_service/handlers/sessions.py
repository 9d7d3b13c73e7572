"""Sessions over HTTP."""

from aiohttp import hdrs, web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of
from auth_service.sessions import Tokens
from shared import body
from shared.bearer import CLAIMS
from shared.service import CLOCK


async def login(request: web.Request) -> web.Response:
    """POST /login: sign in, and get an access token and a refresh token."""
    given = await body.read(request, schemas.Login)
    client = client_of(request)
    user, password_hash = await request.app[ACCOUNTS].authenticate(given.email, given.password, client)
    return _tokens(await request.app[SESSIONS].open(user, password_hash, client, request.app[CLOCK]()))


async def refresh(request: web.Request) -> web.Response:
    """POST /refresh: get new tokens for a refresh token."""
    given = await body.read(request, schemas.Refresh)
    sessions = request.app[SESSIONS]
    return _tokens(await sessions.refresh(given.refresh_token, client_of(request), request.app[CLOCK]()))


async def logout(request: web.Request) -> web.Response:
    """POST /logout: end the session of the refresh token in the body, of the bearer token, or of both."""
    sessions, client, claims = request.app[SESSIONS], client_of(request), request.get(CLAIMS)
    if claims is None or request.body_exists:
        given = await body.read(request, schemas.Refresh)
        await sessions.log_out(given.refresh_token, client)
    if claims is not None:
        await sessions.log_out_by(claims, client)
    return web.Response(status=204)


async def everywhere(request: web.Request) -> web.Response:
    """GET /sessions: where the user is signed in."""
    claims = request[CLAIMS]
    sessions = await request.app[SESSIONS].list(claims)
    return body.response(schemas.SESSIONS, schemas.SessionList.of(sessions, claims.sid))


async def end(request: web.Request) -> web.Response:
    """DELETE /sessions/{id}: end one session."""
    await request.app[SESSIONS].end(request[CLAIMS], schemas.SESSION_ID.read(request), client_of(request))
    return web.Response(status=204)


async def end_all(request: web.Request) -> web.Response:
    """DELETE /sessions: end all sessions, this one too."""
    await request.app[SESSIONS].end_all(request[CLAIMS], client_of(request))
    return web.Response(status=204)


def _tokens(tokens: Tokens) -> web.Response:
    access = tokens.access
    shown = schemas.Tokens(access.token, "Bearer", access.expires_in, str(tokens.refresh), access.scope)
    return body.response(schemas.TOKENS, shown, headers={hdrs.CACHE_CONTROL: "no-store"})
