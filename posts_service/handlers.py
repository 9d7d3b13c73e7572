"""Posts over HTTP: HTTP in, a call of a rule, HTTP out. No SQL, no rules."""

import re

from aiohttp import hdrs, web

from posts_service import schemas
from posts_service.posts import Posts
from shared import body, query
from shared.bearer import CLAIMS
from shared.errors import NotFound

POSTS = web.AppKey("posts", Posts)

_ID = re.compile(r"[1-9][0-9]{0,18}")
_MAX_ID = 2**63 - 1


async def page(request: web.Request) -> web.Response:
    """GET /posts: a page, the newest first."""
    wanted = query.read(request, schemas.PageWanted)
    found = await request.app[POSTS].page(wanted.cursor, wanted.limit)
    return body.response(schemas.PAGE, found)


async def create(request: web.Request) -> web.Response:
    """POST /posts: write one."""
    new = await body.read(request, schemas.NewPost)
    post = await request.app[POSTS].write(request[CLAIMS], new.title, new.body, new.tags)
    return body.response(schemas.POST, post, status=201, headers={hdrs.LOCATION: f"/posts/{post.id}"})


async def show(request: web.Request) -> web.Response:
    """GET /posts/{id}: one post."""
    return body.response(schemas.POST, await request.app[POSTS].find(_post_id(request)))


async def edit(request: web.Request) -> web.Response:
    """PATCH /posts/{id}: change some of it."""
    post_id = _post_id(request)
    wanted = await body.read(request, schemas.Edit)
    post = await request.app[POSTS].edit(post_id, request[CLAIMS], **wanted.model_dump(exclude_unset=True))
    return body.response(schemas.POST, post)


async def delete(request: web.Request) -> web.Response:
    """DELETE /posts/{id}: take it away."""
    await request.app[POSTS].delete(_post_id(request), request[CLAIMS])
    return web.Response(status=204)


def _post_id(request: web.Request) -> int:
    text = request.match_info["id"]
    if _ID.fullmatch(text) and int(text) <= _MAX_ID:
        return int(text)
    raise NotFound("There is no such post: ids are whole numbers from 1")
