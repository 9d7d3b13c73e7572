"""Posts over HTTP: HTTP in, a call of a rule, HTTP out. No SQL, no rules."""

import re
from uuid import UUID

from aiohttp import hdrs, web

from posts_service import schemas
from posts_service.model import Edit, Filter, Post
from posts_service.posts import Posts, normalised
from shared import body, conditions, query
from shared.bearer import CLAIMS
from shared.errors import HeaderInvalid

POSTS = web.AppKey("posts", Posts)

# up to nine digits fit the column
_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')
_KEY = re.compile(schemas.IDEMPOTENCY_KEY.pattern)


async def page(request: web.Request) -> web.Response:
    """GET /posts: a page of posts, the newest first."""
    wanted = query.read(request, schemas.PageWanted)
    author_id = None
    if wanted.author is not None:
        author_id = request[CLAIMS].sub if wanted.author == schemas.ME else UUID(wanted.author)
    chosen = Filter(author_id, normalised(wanted.tag), wanted.q)
    found = await request.app[POSTS].page(chosen, wanted.cursor, wanted.limit)
    headers = {}
    if found.next is not None:
        following = request.rel_url.update_query({"cursor": found.next})
        headers[hdrs.LINK] = f'<{following.raw_path_qs}>; rel="next"'
    return body.response(schemas.PAGE, found, headers=headers)


async def create(request: web.Request) -> web.Response:
    """POST /posts: write a post."""
    key = _idempotency_key(request)
    new = await body.read(request, schemas.NewPost)
    post = await request.app[POSTS].write(request[CLAIMS], new.title, new.body, new.tags, key)
    return _shown(post, status=201, location=f"/posts/{post.id}")


async def show(request: web.Request) -> web.Response:
    """GET /posts/{id}: one post."""
    post = await request.app[POSTS].find(schemas.POST_ID.read(request))
    if conditions.matches(request, hdrs.IF_NONE_MATCH, _etag(post), weakly=True):
        return web.Response(status=304, headers={hdrs.ETAG: _etag(post)})
    return _shown(post)


async def edit(request: web.Request) -> web.Response:
    """PATCH /posts/{id}: change some of a post."""
    post_id, versions = schemas.POST_ID.read(request), _versions(request)
    wanted = await body.read(request, schemas.Change)
    changes = Edit(**wanted.model_dump(exclude_unset=True))
    return _shown(await request.app[POSTS].edit(post_id, request[CLAIMS], changes, versions))


async def delete(request: web.Request) -> web.Response:
    """DELETE /posts/{id}: delete a post."""
    await request.app[POSTS].delete(schemas.POST_ID.read(request), request[CLAIMS], _versions(request))
    return web.Response(status=204)


async def delete_own(request: web.Request) -> web.Response:
    """DELETE /posts?author=me: delete all of one's own posts."""
    query.read(request, schemas.Removal)
    deleted = await request.app[POSTS].delete_all(request[CLAIMS])
    return body.response(schemas.REMOVED, schemas.Removed(deleted))


def _shown(post: Post, *, status: int = 200, location: str | None = None) -> web.Response:
    headers = {hdrs.ETAG: _etag(post), **({hdrs.LOCATION: location} if location else {})}
    return body.response(schemas.POST, post, status=status, headers=headers)


def _etag(post: Post) -> str:
    return f'"{post.version}"'


def _versions(request: web.Request) -> list[int] | None:
    """The versions that If-Match names; None if it takes any, or is not there."""
    tags = conditions.entity_tags(request, hdrs.IF_MATCH)
    if tags is None or "*" in tags:
        return None
    # a weak one never matches here (RFC 9110 section 13.1.1), and what is no version of ours matches nothing
    return [int(found[1]) for tag in tags if (found := _VERSION.fullmatch(tag))]


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall(schemas.IDEMPOTENCY_KEY.name, [])
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise HeaderInvalid.of(
            schemas.IDEMPOTENCY_KEY.name, "it must be one header of 1 to 255 visible ASCII characters"
        )
    return keys[0]
