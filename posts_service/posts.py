"""The rules of posts: what a page is, who may write what, and under which name."""

from collections.abc import Sequence

from posts_service.model import MODERATE, Author, Page, Post
from posts_service.store import PostStore
from shared import cursor
from shared.tokens import Claims

_ID_BYTES = 8


class Posts:
    """What one can do with posts."""

    def __init__(self, store: PostStore) -> None:
        self._store = store

    async def page(self, after: str | None, limit: int) -> Page:
        """Return a page.

        Raises:
            CursorInvalid: `after` is no cursor of ours.
        """
        before = None if after is None else int.from_bytes(cursor.read(after, _ID_BYTES), signed=True)
        found = await self._store.page(before, limit + 1)  # one more tells whether there is a next page
        return Page(
            found[:limit], cursor.write(found[limit - 1].id.to_bytes(_ID_BYTES)) if len(found) > limit else None
        )

    async def find(self, post_id: int) -> Post:
        """Return a post.

        Raises:
            NotFound: there is none.
        """
        return await self._store.find(post_id)

    async def write(self, claims: Claims, title: str, body: str, tags: Sequence[str]) -> Post:
        """Write a post in the name of whom the token belongs to."""
        return await self._store.add(claims.sub, claims.name, title, body, normalised(tags))

    async def edit(
        self,
        post_id: int,
        claims: Claims,
        title: str | None = None,
        body: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Post:
        """Change what is given of a post.

        Raises:
            NotFound: there is none.
            NotTheAuthor: it is somebody else's, and the token has no posts:moderate.
        """
        return await self._store.change(
            post_id, author(claims), title, body, None if tags is None else normalised(tags)
        )

    async def delete(self, post_id: int, claims: Claims) -> None:
        """Delete a post.

        Raises:
            NotFound: there is none.
            NotTheAuthor: it is somebody else's, and the token has no posts:moderate.
        """
        await self._store.remove(post_id, author(claims))


def author(claims: Claims) -> Author:
    """Who the token says is acting, and whether as a moderator."""
    return Author(claims.sub, claims.name, moderates=MODERATE in claims.scope)


def normalised(tags: Sequence[str]) -> list[str]:
    """Tags without outer space, in lower case, each once, in the order given."""
    return list(dict.fromkeys(tag.strip().lower() for tag in tags))
