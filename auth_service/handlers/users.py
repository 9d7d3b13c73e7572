"""All accounts over HTTP, for admins."""

from uuid import UUID

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of
from auth_service.sessions import check_recent
from shared.http import body
from shared.http.application import CLOCK
from shared.http.bearer import CLAIMS


async def page(request: web.Request, wanted: schemas.UsersQuery) -> web.Response:
    """GET /users: list users, newest first."""
    await request.app[SESSIONS].admin_of(request[CLAIMS])
    users, following = await request.app[ACCOUNTS].page(wanted.cursor, wanted.limit)
    return body.response(schemas.USERS, schemas.Users([schemas.User.of(user) for user in users], following))


async def show(request: web.Request, user_id: UUID) -> web.Response:
    """GET /users/{id}: read a user."""
    await request.app[SESSIONS].admin_of(request[CLAIMS])
    return body.response(schemas.USER, schemas.User.of(await request.app[ACCOUNTS].get(user_id)))


async def end_sessions(request: web.Request, user_id: UUID) -> web.Response:
    """DELETE /users/{id}/sessions: end all sessions of a user."""
    admin = await request.app[SESSIONS].admin_of(request[CLAIMS])
    check_recent(request[CLAIMS], request.app[CLOCK]())
    user = await request.app[ACCOUNTS].get(user_id)
    await request.app[SESSIONS].end_all_of(user.id, admin, client_of(request))
    return web.Response(status=204)


async def change(request: web.Request, user_id: UUID, wanted: schemas.UserChange) -> web.Response:
    """PATCH /users/{id}: disable or enable a user, or change their role."""
    admin = await request.app[SESSIONS].admin_of(request[CLAIMS])
    check_recent(request[CLAIMS], request.app[CLOCK]())
    changes = wanted.model_dump(exclude_unset=True)
    changed = await request.app[ACCOUNTS].change(user_id, admin, client_of(request), **changes)
    return body.response(schemas.USER, schemas.User.of(changed))
