"""The rules of posts: what a page contains, and who may write, change and delete what."""

import hashlib
import json
import math
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import replace

from posts_service.errors import (
    IdempotencyMismatch,
    NotTheAuthor,
    SearchTooExpensive,
    TooManyRequests,
    VersionMismatch,
)
from posts_service.model import MODERATE, Author, Edit, Filter, NewPost, Page, PageSize, Post, WriteLimit
from posts_service.store.allowances import CHARACTERS, Exhausted
from posts_service.store.idempotency import IdempotencyStore
from posts_service.store.posts import Found, PostStore
from shared import cursor
from shared.errors import NotFound
from shared.tokens.claims import Claims

PAGE_BYTES = 500_000
"""Bytes of bodies on one page; a hundred of the longest posts would make an answer of tens of megabytes.

Bytes and not characters: Postgres knows them without loading the body.
"""

SEARCH_SECONDS = 1.0
"""How long the database may take for a search."""

_ID_BYTES = 8
_FILTER_BYTES = 8
_NEWEST = 2**63 - 1


class Posts:
    """Everything a client can do with posts.

    Args:
        store: The posts.
        keys: The idempotency keys that were used.
        limit: How often each user may write.
    """

    def __init__(self, store: PostStore, keys: IdempotencyStore, limit: WriteLimit) -> None:
        self._store = store
        self._keys = keys
        self._limit = limit

    async def page(self, wanted: Filter, after: str | None, limit: int) -> Page:
        """Return a page of the posts that match the filter.

        Raises:
            CursorInvalid: `after` was not issued for a list with this filter.
            SearchTooExpensive: the search takes longer than SEARCH_SECONDS.
        """
        fingerprint = _fingerprint(wanted)
        before = _NEWEST
        if after is not None:
            position = cursor.read(after, _ID_BYTES + _FILTER_BYTES)
            if position[_ID_BYTES:] != fingerprint:
                raise cursor.CursorInvalid(
                    "The cursor was issued for different filters",
                    hint="Repeat the filters of the first page, or leave cursor out.",
                )
            before = int.from_bytes(position[:_ID_BYTES], signed=True)  # any 8 bytes make a bigint, forged ones too
        found = await self._store.page(wanted, before, PageSize(limit, PAGE_BYTES), SEARCH_SECONDS)
        if found is None:
            raise SearchTooExpensive(
                f"The search took longer than {SEARCH_SECONDS:g} s and was cancelled",
                hint="Use fewer or rarer words.",
                data={"retry_after": math.ceil(SEARCH_SECONDS)},
            )
        items = found.posts
        return Page(items, cursor.write(items[-1].id.to_bytes(_ID_BYTES) + fingerprint) if found.more else None)

    async def find(self, post_id: int) -> Post:
        """Return a post.

        Raises:
            NotFound: there is no such post.
        """
        post = await self._store.find(post_id)
        if post is None:
            raise _not_found(post_id)
        return post

    async def write(self, by: Author, new: NewPost, key: str | None) -> Post:
        """Write a post.

        Args:
            by: The author.
            new: The content; tags as they were sent.
            key: An idempotency key. For 24 hours, the same post with the same key is written once and always gets the
                first answer.

        Raises:
            IdempotencyMismatch: the key was used for a different post.
            TooManyRequests: the author has reached the limit.
        """
        post = replace(new, tags=normalized(new.tags))
        if key is None:
            written = await self._store.add(by, post)
            if isinstance(written, Exhausted):
                raise self._too_many(written)
            return written
        request_hash = hashlib.sha256(json.dumps([new.title, new.body, new.tags]).encode()).digest()
        found = await self._keys.add_post(by, post, key, request_hash)
        if isinstance(found, Exhausted):
            raise self._too_many(found)
        if isinstance(found, Post):
            return found
        if found.request_hash != request_hash:
            raise IdempotencyMismatch(
                "This idempotency key was used for a different post", hint="Use a new key for each new post."
            )
        # the first answer, even if the post has been changed or deleted since
        return Post(
            id=found.post_id,
            author_id=by.id,
            author_name=found.author_name,
            title=post.title,
            body=post.body,
            tags=post.tags,
            version=1,
            created_at=found.created_at,
            updated_at=found.created_at,
        )

    async def edit(self, post_id: int, by: Author, edit: Edit, versions: Collection[int] | None) -> Post:
        """Change a post.

        Args:
            post_id: Which post.
            by: Who changes it.
            edit: The changes.
            versions: The versions that may be changed; None for any.

        Raises:
            NotFound: there is no such post.
            NotTheAuthor: it belongs to someone else, and `by` is not a moderator.
            VersionMismatch: it has a different version.
            TooManyRequests: `by` has reached the limit.
        """
        changes = edit if edit.tags is None else replace(edit, tags=normalized(edit.tags))
        found = await self._store.change(post_id, by, changes, versions)
        if isinstance(found, Exhausted):
            raise self._too_many(found)
        return _allowed(found, post_id, by)

    async def delete(self, post_id: int, by: Author, versions: Collection[int] | None) -> None:
        """Delete a post.

        Raises:
            NotFound, NotTheAuthor, VersionMismatch, TooManyRequests: as for `edit`.
        """
        found = await self._store.remove(post_id, by, versions)
        if isinstance(found, Exhausted):
            raise self._too_many(found)
        _allowed(found, post_id, by)

    async def delete_all(self, by: Author) -> int:
        """Delete all posts of an author, and return how many there were.

        Raises:
            TooManyRequests: the author has reached the limit.
        """
        found = await self._store.remove_all(by.id)
        if isinstance(found, Exhausted):
            raise self._too_many(found)
        return found

    def _too_many(self, exhausted: Exhausted) -> TooManyRequests:
        seconds = max(1, math.ceil(exhausted.seconds))
        return TooManyRequests(
            f"You may write {self._limit.burst} times at once and {self._limit.per_second:g} times a second after that,"
            f" and a long text counts once for every {CHARACTERS:,} characters; try again in {seconds} s",
            data={"retry_after": seconds},
        )


def author(claims: Claims) -> Author:
    """Return who is acting, according to the token, and whether they moderate."""
    return Author(claims.sub, claims.name, moderates=MODERATE in claims.scope)


def normalized(tags: Sequence[str]) -> list[str]:
    """Return tags trimmed, in lower case and in NFC (in this order: lowering may undo NFC), without duplicates."""
    return list(dict.fromkeys(unicodedata.normalize("NFC", tag.strip().lower()) for tag in tags))


def _allowed(found: Found | None, post_id: int, by: Author) -> Post:
    """Return the post that was changed or deleted, or say why nothing was."""
    if found is None:
        raise _not_found(post_id)
    if found.post is not None:
        return found.post
    if found.author_id != by.id and not by.moderates:
        raise NotTheAuthor(f"Post {post_id} belongs to someone else")
    raise VersionMismatch(
        f"Post {post_id} now has version {found.version}",
        hint="Read it again, and apply your change to the current version.",
        data={"version": found.version},
    )


def _not_found(post_id: int) -> NotFound:
    return NotFound(f"There is no post {post_id}")


def _fingerprint(wanted: Filter) -> bytes:
    """Return what tells one filter from another; a cursor carries it."""
    content = json.dumps([str(wanted.author_id), sorted(wanted.tags), wanted.words])
    return hashlib.sha256(content.encode()).digest()[:_FILTER_BYTES]
