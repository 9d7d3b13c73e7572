"""Posts over HTTP."""

import re
from uuid import UUID

from aiohttp import hdrs, web

from posts_service import schemas
from posts_service.model import Edit, Filter, NewPost, Post
from posts_service.posts import Posts, author, normalized
from shared.http import body
from shared.http.bearer import CLAIMS
from shared.http.conditional_requests import EntityTags, matches

POSTS = web.AppKey("posts", Posts)

# nine digits fit the column
_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


async def page(request: web.Request, wanted: schemas.PageQuery) -> web.Response:
    """GET /posts: list posts, newest first."""
    author_id = None
    if wanted.author is not None:
        author_id = request[CLAIMS].sub if wanted.author == schemas.ME else UUID(wanted.author)
    chosen = Filter(author_id, normalized(wanted.tag), wanted.q)
    found = await request.app[POSTS].page(chosen, wanted.cursor, wanted.limit)
    headers = {}
    if found.next is not None:
        following = request.rel_url.update_query({"cursor": found.next})
        headers[hdrs.LINK] = f'<{following.raw_path_qs}>; rel="next"'
    return body.response(schemas.PAGE, schemas.Page.of(found), headers=headers)


async def create(request: web.Request, key: str | None, new: schemas.NewPost) -> web.Response:
    """POST /posts: write a post."""
    post = await request.app[POSTS].write(author(request[CLAIMS]), NewPost(new.title, new.body, new.tags), key)
    return _shown(post, status=201, location=f"/posts/{post.id}")


async def show(request: web.Request, post_id: int, known: EntityTags) -> web.Response:
    """GET /posts/{id}: read a post."""
    post = await request.app[POSTS].find(post_id)
    if matches(known, _etag(post), weakly=True):
        return web.Response(status=304, headers={hdrs.ETAG: _etag(post)})
    return _shown(post)


async def edit(request: web.Request, post_id: int, expected: EntityTags, change: schemas.Change) -> web.Response:
    """PATCH /posts/{id}: change parts of a post."""
    changes = Edit(**change.model_dump(exclude_unset=True))
    return _shown(await request.app[POSTS].edit(post_id, author(request[CLAIMS]), changes, _versions(expected)))


async def delete(request: web.Request, post_id: int, expected: EntityTags) -> web.Response:
    """DELETE /posts/{id}: delete a post."""
    await request.app[POSTS].delete(post_id, author(request[CLAIMS]), _versions(expected))
    return web.Response(status=204)


async def delete_own(request: web.Request, _: schemas.DeletionQuery) -> web.Response:
    """DELETE /posts?author=me: delete all your posts."""
    deleted = await request.app[POSTS].delete_all(author(request[CLAIMS]))
    return body.response(schemas.REMOVED, schemas.Removed(deleted))


def _shown(post: Post, *, status: int = 200, location: str | None = None) -> web.Response:
    headers = {hdrs.ETAG: _etag(post), **({hdrs.LOCATION: location} if location else {})}
    return body.response(schemas.POST, schemas.Post.of(post), status=status, headers=headers)


def _etag(post: Post) -> str:
    return f'"{post.version}"'


def _versions(tags: EntityTags) -> list[int] | None:
    """Return the versions that If-Match lists, or None if it accepts any."""
    if tags is None or "*" in tags:
        return None
    # weak tags never match here (RFC 9110 section 13.1.1), and neither does anything that isn't a version of ours
    return [int(found[1]) for tag in tags if (found := _VERSION.fullmatch(tag))]
