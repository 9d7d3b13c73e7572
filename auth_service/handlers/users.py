"""All accounts over HTTP, for admins."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiohttp import web

from auth_service import schemas
from auth_service.handlers import ACCOUNTS, SESSIONS, client_of
from auth_service.model import User
from shared import body, cursor, query
from shared.bearer import CLAIMS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION_BYTES = 8 + 16


async def page(request: web.Request) -> web.Response:
    """GET /users: a page of users, the newest first."""
    await request.app[SESSIONS].admin_of(request[CLAIMS])
    wanted = query.read(request, schemas.UsersWanted)
    before = None if wanted.cursor is None else _position(wanted.cursor)
    found = await request.app[ACCOUNTS].page(before, wanted.limit + 1)
    items = found[: wanted.limit]
    return body.response(schemas.USERS, schemas.Users(items, _cursor(items[-1]) if len(found) > len(items) else None))


async def show(request: web.Request) -> web.Response:
    """GET /users/{id}: one user."""
    await request.app[SESSIONS].admin_of(request[CLAIMS])
    return body.response(schemas.USER, await request.app[ACCOUNTS].get(schemas.USER_ID.read(request)))


async def change(request: web.Request) -> web.Response:
    """PATCH /users/{id}: disable or enable a user, or give another role."""
    # the body first: who was an admin when it began to arrive may be none when it has
    wanted = await body.read(request, schemas.UserChange)
    admin = await request.app[SESSIONS].admin_of(request[CLAIMS])
    changed = await request.app[ACCOUNTS].change(
        schemas.USER_ID.read(request), admin, client_of(request), **wanted.model_dump(exclude_unset=True)
    )
    return body.response(schemas.USER, changed)


def _cursor(user: User) -> str:
    return cursor.write(((user.created_at - _EPOCH) // _MICROSECOND).to_bytes(8) + user.id.bytes)


def _position(text: str) -> tuple[datetime, UUID]:
    position = cursor.read(text, _POSITION_BYTES)
    try:
        return _EPOCH + int.from_bytes(position[:8]) * _MICROSECOND, UUID(bytes=position[8:])
    except OverflowError:
        raise cursor.CursorInvalid("The cursor is not one of this list") from None
