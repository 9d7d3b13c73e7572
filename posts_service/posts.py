"""The rules of posts: what a page is, who may write what, and under which name."""

import hashlib
import json
import unicodedata
from collections.abc import Collection, Sequence

from posts_service.errors import IdempotencyMismatch
from posts_service.model import MODERATE, Author, Edit, Filter, Page, Post
from posts_service.store import PostStore
from shared import cursor
from shared.tokens import Claims

PAGE_CHARACTERS = 500_000
"""Of bodies on one page: a hundred of the longest posts would be an answer of tens of megabytes."""

_ID_BYTES = 8
_FILTER_BYTES = 8
_FIRST = 2**63 - 1


class Posts:
    """What one can do with posts."""

    def __init__(self, store: PostStore) -> None:
        self._store = store

    async def page(self, wanted: Filter, after: str | None, limit: int) -> Page:
        """Return a page of what the filter lets through.

        Raises:
            CursorInvalid: `after` is no cursor of a list with this filter.
        """
        fingerprint = _fingerprint(wanted)
        before = _FIRST
        if after is not None:
            position = cursor.read(after, _ID_BYTES + _FILTER_BYTES)
            if position[_ID_BYTES:] != fingerprint:
                raise cursor.CursorInvalid(
                    "The cursor was made for other filters", hint="Leave the filters as they were, or the cursor out."
                )
            before = int.from_bytes(position[:_ID_BYTES], signed=True)  # as Postgres has it, whoever made it up
        found = await self._store.page(wanted, before, limit + 1)  # one more tells whether there is a next page
        items = _fitting(found[:limit])
        more = len(found) > len(items)
        return Page(items, cursor.write(items[-1].id.to_bytes(_ID_BYTES) + fingerprint) if more else None)

    async def find(self, post_id: int) -> Post:
        """Return a post.

        Raises:
            NotFound: there is none.
        """
        return await self._store.find(post_id)

    async def write(self, claims: Claims, title: str, body: str, tags: Sequence[str], key: str | None) -> Post:
        """Write a post in the name of whom the token belongs to.

        Args:
            claims: Who writes.
            title: The title.
            body: The text.
            tags: As they were sent.
            key: The Idempotency-Key: the same post under the same key is written once, and answered as the first
                time, for 24 hours.

        Raises:
            IdempotencyMismatch: the key was used for another post.
        """
        kept, by = normalised(tags), author(claims)
        if key is None:
            return await self._store.add(by, title, body, kept)
        request_hash = hashlib.sha256(json.dumps([title, body, list(tags)]).encode()).digest()
        found = await self._store.add_once(by, title, body, kept, key=key, request_hash=request_hash)
        if isinstance(found, Post):
            return found
        if found.request_hash != request_hash:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used for another post", hint="Make a new key for each new post."
            )
        # as it was answered at first, also when it was changed or deleted since
        written = found.created_at
        return Post(found.post_id, by.id, found.author_name, title, body, kept, 1, written, written)

    async def edit(self, post_id: int, claims: Claims, edit: Edit, versions: Collection[int] | None) -> Post:
        """Change a post, if it has one of these versions (None: whatever it has).

        Raises:
            NotFound: there is none.
            NotTheAuthor: it is somebody else's, and the token has no posts:moderate.
            VersionMismatch: it has another version by now.
        """
        kept = edit if edit.tags is None else Edit(edit.title, edit.body, normalised(edit.tags))
        return await self._store.change(post_id, author(claims), kept, versions)

    async def delete(self, post_id: int, claims: Claims, versions: Collection[int] | None) -> None:
        """Delete a post, if it has one of these versions (None: whatever it has).

        Raises:
            NotFound, NotTheAuthor, VersionMismatch: as `edit`.
        """
        await self._store.remove(post_id, author(claims), versions)

    async def delete_all(self, claims: Claims) -> int:
        """Delete all posts of whom the token belongs to, and return how many there were."""
        return await self._store.remove_all(author(claims))


def author(claims: Claims) -> Author:
    """Who the token says is acting, and whether as a moderator."""
    return Author(claims.sub, claims.name, moderates=MODERATE in claims.scope)


def normalised(tags: Sequence[str]) -> list[str]:
    """Tags without outer space, in lower case, in NFC (last: lower case may undo it), each once, in the order given."""
    return list(dict.fromkeys(unicodedata.normalize("NFC", tag.strip().lower()) for tag in tags))


def _fitting(posts: list[Post]) -> list[Post]:
    """As many of the posts as make a page of PAGE_CHARACTERS, one at least."""
    characters = 0
    for position, post in enumerate(posts):
        characters += len(post.body)
        if characters > PAGE_CHARACTERS and position > 0:
            return posts[:position]
    return posts


def _fingerprint(wanted: Filter) -> bytes:
    """What tells one filter from another; a cursor carries it."""
    content = json.dumps([str(wanted.author_id), sorted(wanted.tags), wanted.words])
    return hashlib.sha256(content.encode()).digest()[:_FILTER_BYTES]
