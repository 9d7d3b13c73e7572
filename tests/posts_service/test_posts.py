"""Posts, and who may read and change them."""

import asyncio
import random
from collections.abc import Collection
from dataclasses import make_dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from posts_service.app import create_database
from posts_service.handlers.posts import POSTS
from posts_service.model import Author, Edit, NewPost, WriteLimit
from posts_service.posts import Posts
from posts_service.store.allowances import Exhausted, Writes
from posts_service.store.idempotency import IdempotencyStore
from posts_service.store.posts import Found, PostStore
from tests.api_client import Pair, posts_app, posts_settings, served
from tests.posts_service.board import BOTH, MODERATOR, Board


async def test_a_new_post_has_the_author_of_the_token(pair: Pair) -> None:
    """A new post is returned with 201 and its Location, and its author is the token's user."""
    ada = await pair.sign_up("Ada")
    reply = await pair.post(ada.token, "First  post ", "Line one\n\tline two 🦉", tags=["News", " news ", "b"])
    assert reply.status == 201
    assert reply.headers["Location"] == f"/posts/{reply.body['id']}"
    assert reply.body["title"] == "First  post "
    assert reply.body["body"] == "Line one\n\tline two 🦉"
    assert reply.body["tags"] == ["news", "b"]
    assert (reply.body["author_id"], reply.body["author_name"], reply.body["version"]) == (ada.id, "Ada", 1)
    again = await pair.call("GET", pair.posts + reply.headers["Location"], token=ada.token)
    assert (again.status, again.body) == (200, reply.body)


async def test_the_author_is_never_taken_from_the_body(pair: Pair) -> None:
    """A body that contains an author is refused."""
    ada = await pair.sign_up()
    reply = await pair.post(ada.token, author_id=str(uuid4()))
    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/author_id")


async def test_the_author_edits_and_deletes(pair: Pair) -> None:
    """An author can edit a post, which changes only the members that are sent, and delete it for good."""
    ada = await pair.sign_up()
    post = (await pair.post(ada.token, "Old", "Text", tags=["kept"])).body
    url = f"{pair.posts}/posts/{post['id']}"
    edited = await pair.call("PATCH", url, {"title": "New"}, ada.token)
    assert edited.status == 200
    assert edited.body == post | {"title": "New", "version": 2, "updated_at": edited.body["updated_at"]}
    assert edited.body["updated_at"] > post["updated_at"]
    assert (await pair.call("DELETE", url, token=ada.token)).status == 204
    for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
        gone = await pair.call(method, url, body, ada.token)
        assert (gone.status, gone.code) == (404, "not_found")


async def test_others_read_but_do_not_write(pair: Pair) -> None:
    """Other users can read a post but get 403 if they try to change or delete it."""
    ada, bob = await pair.sign_up("Ada"), await pair.sign_up("Bob")
    post = (await pair.post(ada.token)).body
    url = f"{pair.posts}/posts/{post['id']}"
    for method, body in (("PATCH", {"title": "mine now"}), ("DELETE", None)):
        reply = await pair.call(method, url, body, bob.token)
        assert (reply.status, reply.code) == (403, "not_the_author")
    assert (await pair.call("GET", url, token=bob.token)).body == post


@pytest.mark.parametrize(
    "post_id", ["0", "-1", "1.0", "01", "x", "9223372036854775808", "9" * 400, "%00", "1%2F2", "٣"]
)
async def test_an_invalid_id_is_not_found(pair: Pair, post_id: str) -> None:
    """A malformed or out-of-range id gets 404."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts/{post_id}", token=ada.token)
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"title": ""}, "/title", "text_blank"),
        ({"title": "t" * 201}, "/title", "too_long"),
        ({"title": "a\0b"}, "/title", "text_refused"),
        ({"title": None}, "/title", "type_wrong"),
        ({"body": ""}, "/body", "too_short"),
        ({"body": "b" * 100_001}, "/body", "too_long"),
        ({"body": "a\0b"}, "/body", "text_refused"),
        ({"body": "a\ud800b"}, "/body", "text_refused"),
        ({"tags": "news"}, "/tags", "type_wrong"),
        ({"tags": ["t"] * 11}, "/tags", "too_many"),
        ({"tags": ["ok", ""]}, "/tags/1", "text_blank"),
        ({"tags": ["t" * 51]}, "/tags/0", "too_long"),
    ],
)
async def test_an_invalid_member_of_a_post_is_named(
    pair: Pair, change: dict[str, object], pointer: str, code: str
) -> None:
    """An invalid member gets 422 with its pointer, whether the post is written or edited."""
    ada = await pair.sign_up()
    post = (await pair.post(ada.token)).body
    written = await pair.call("POST", f"{pair.posts}/posts", {"title": "t", "body": "b", **change}, ada.token)
    edited = await pair.call("PATCH", f"{pair.posts}/posts/{post['id']}", change, ada.token)
    for reply in (written, edited):
        assert (reply.status, reply.code) == (422, "validation_failed")
        assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]


async def test_the_largest_post_is_accepted(pair: Pair) -> None:
    """A post may reach every limit at once, even if every character arrives as an escape."""
    ada = await pair.sign_up()
    reply = await pair.post(ada.token, "🦉" * 200, "🦉" * 100_000, tags=[f"{n}" + "t" * 49 for n in range(10)])
    assert reply.status == 201
    assert reply.body["body"] == "🦉" * 100_000


async def test_pages_follow_each_other(pair: Pair) -> None:
    """Posts are listed newest first, and following `next` neither skips nor repeats any."""
    ada = await pair.sign_up()
    written = [(await pair.post(ada.token, f"Post {n}")).body["id"] for n in range(5)]
    seen: list[int] = []
    cursor = ""
    while len(seen) < 5:
        reply = await pair.call("GET", f"{pair.posts}/posts?limit=2{cursor}", token=ada.token)
        assert reply.status == 200
        assert len(reply.body["items"]) == 2
        seen += [post["id"] for post in reply.body["items"]]
        cursor = f"&cursor={reply.body['next']}"
    assert seen[:5] == written[::-1]


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("limit=ten", "limit", "type_wrong"),
        ("limit=", "limit", "type_wrong"),
        ("limit=1&limit=2", "limit", "parameter_repeated"),
        ("page=2", "page", "field_unknown"),
    ],
)
async def test_an_invalid_parameter_is_named(pair: Pair, query: str, parameter: str, code: str) -> None:
    """A parameter that is unknown, repeated, out of range or of the wrong type gets 400 with its name."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts?{query}", token=ada.token)
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert [(error["parameter"], error["code"]) for error in reply.body["errors"]] == [(parameter, code)]


@pytest.mark.parametrize("cursor", ["", "x", "AAAAAAAAAAAAAAAAAA", "é", "A" * 5000])
async def test_a_foreign_cursor_is_refused(pair: Pair, cursor: str) -> None:
    """A cursor that was not issued by this service gets 400 cursor_invalid."""
    ada = await pair.sign_up()
    reply = await pair.call("GET", f"{pair.posts}/posts", token=ada.token, params={"cursor": cursor})
    assert (reply.status, reply.code) == (400, "cursor_invalid")


WORST_FOR_SEARCH = {
    "distinct words": " ".join(f"{number:05x}" for number in range(0x10000, 0x10000 + 17_000))[:100_000],
    "distinct characters": " ".join(chr(0x20000 + number) for number in range(42_000)),
    "distinct hyphenated": "-".join(chr(0x20000 + number) for number in range(42_000)),
    "one word": "w" * 100_000,
    "one word of Chinese": "語" * 100_000,
    "words one byte too long": " ".join("w" * 2047 for _ in range(48)),
    "owls": "🦉" * 100_000,
    "families": ("👩\u200d👩\u200d👧 " * 17_000)[:100_000],
    "combining marks": "e" + "\u0301" * 99_999,
    "no words": "\n" * 100_000,
    "control characters": "".join(map(chr, range(1, 32))) * 3_000,
    "quotes": "\"'\\" * 33_333,
    # Postgres' text search parser takes minutes for these if it gets to see the punctuation
    "underscores": "a_" * 50_000,
    "comments": "<!--" * 25_000,
    "homes": "~/" * 50_000,
    "addresses": "a@b.c/d_e?" * 10_000,
}


@pytest.mark.parametrize("name", WORST_FOR_SEARCH)
async def test_any_long_text_can_be_indexed(board: Board, name: str) -> None:
    """Any text of 100,000 characters is stored as sent, by POST and by PATCH, and its post can be found by a word."""
    text = WORST_FOR_SEARCH[name]
    ada = board.person()
    post = await board.write(ada, "findable", text)
    assert post["body"] == text
    assert (await board.call("PATCH", ada, f"/{post['id']}", {"body": "short"})).status == 200
    edited = await board.call("PATCH", ada, f"/{post['id']}", {"body": text})
    assert (edited.status, edited.body["body"]) == (200, text)
    found = await board.call("GET", ada, "?author=me&q=findable")
    assert [item["id"] for item in found.body["items"]] == [post["id"]]


async def test_random_text_is_kept_as_it_is(board: Board) -> None:
    """Any text without NUL and lone surrogates comes back as it was sent."""
    ada = board.person()
    randomness = random.Random(5)  # noqa: S311  not used for secrets
    for size in (1, 2, 1_000, 100_000):
        codes = (randomness.randrange(1, 0x110000 - 0x800) for _ in range(size))
        text = "".join(chr(code if code < 0xD800 else code + 0x800) for code in codes)
        assert (await board.write(ada, body=text))["body"] == text


async def test_the_limits_hold_when_every_character_is_escaped(board: Board) -> None:
    """Limits count characters, not the bytes that encode them."""

    def escaped(text: str) -> str:
        units = text.encode("utf-16-be").hex()
        return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))

    ada = board.person()
    for character in "a🦉":
        for title, body, tag, status in (
            (200, 100_000, 50, 201),
            (201, 1, 1, 422),
            (1, 100_001, 1, 422),
            (1, 1, 51, 422),
        ):
            tags = ", ".join(f'"{escaped(str(number) + character * (tag - 1))}"' for number in range(10))
            sent = (
                f'{{"title": "{escaped(character * title)}", "body": "{escaped(character * body)}", "tags": [{tags}]}}'
            )
            headers = {"Content-Type": "application/json"}
            reply = await board.call("POST", ada, data=sent.encode(), headers=headers)
            assert reply.status == status, reply


@pytest.mark.parametrize(
    ("change", "figures"),
    [
        ({"title": "t" * 201}, (200, 201)),
        ({"body": "b" * 100_001}, (100_000, 100_001)),
        ({"tags": ["t"] * 11}, (10, 11)),
    ],
)
async def test_an_error_states_the_limit_and_what_was_sent(
    board: Board, change: dict[str, object], figures: tuple[int, int]
) -> None:
    """An error about a limit gives both the limit and the figure that was sent."""
    reply = await board.call("POST", board.person(), json={"title": "t", "body": "b", **change})
    assert reply.status == 422
    message = reply.body["errors"][0]["message"]
    assert [str(figure) in message for figure in figures] == [True, True], message


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], []),
        (["B", "a", "b", " b ", "A"], ["b", "a"]),
        (["e\u0301", "É"], ["é"]),
        (["H\u0331"], ["\u1e96"]),
        (["ＡＢ"], ["ａｂ"]),
        (["two words", "two  words"], ["two words", "two  words"]),
        (["ΣΑΣ"], ["σας"]),
        (["#1", "c++", '"', "\\", "{}", ",", "NULL", "null"], ["#1", "c++", '"', "\\", "{}", ",", "null"]),
        (["\u3000x\u00a0"], ["x"]),
    ],
)
async def test_tags_are_normalised(board: Board, sent: list[str], kept: list[str]) -> None:
    """Tags are stored in NFC, lower case, trimmed and without duplicates, and each one finds its post."""
    ada = board.person()
    post = await board.write(ada, tags=sent)
    assert post["tags"] == kept
    for tag in kept:
        found = await board.pair.call("GET", board.url, token=ada.token, params={"tag": tag, "author": "me"})
        assert [item["id"] for item in found.body["items"]] == [post["id"]], tag
    again = await board.call("PATCH", ada, f"/{post['id']}", {"tags": post["tags"]})
    assert again.body == post


async def test_a_moderator_can_change_and_delete_the_posts_of_others(board: Board) -> None:
    """With posts:moderate, any post can be changed and deleted, and an edited post keeps its author."""
    ada, moderator = board.person("Ada"), board.person("Mo", MODERATOR)
    post = await board.write(ada)
    edited = await board.call("PATCH", moderator, f"/{post['id']}", {"title": "Moderated"})
    assert edited.status == 200
    assert (edited.body["author_id"], edited.body["author_name"]) == (ada.id, "Ada")
    assert (await board.call("DELETE", moderator, f"/{post['id']}")).status == 204
    assert (await board.call("GET", ada, f"/{post['id']}")).status == 404


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_moderating_requires_the_write_scope(board: Board, method: str) -> None:
    """posts:moderate does not include posts:write."""
    post = await board.write(board.person())
    half = board.person(scope="posts:read posts:moderate")
    reply = await board.call(method, half, f"/{post['id']}", {"title": "x"} if method == "PATCH" else None)
    assert (reply.status, reply.code) == (403, "scope_missing")


READ, WRITE = "posts:read", "posts:write"


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "", READ),
        ("HEAD", "", READ),
        ("POST", "", WRITE),
        ("DELETE", "?author=me", WRITE),
        ("GET", "/{id}", READ),
        ("HEAD", "/{id}", READ),
        ("PATCH", "/{id}", WRITE),
        ("DELETE", "/{id}", WRITE),
    ],
)
async def test_each_route_requires_its_scope(board: Board, method: str, path: str, needed: str) -> None:
    """A token without the route's scope gets 403 with the name of the scope, and no token gets 401."""
    ada = board.person()
    post = await board.write(ada)
    url = board.url + path.format(id=post["id"])
    body = {"title": "t", "body": "b"} if method in {"POST", "PATCH"} else None
    lacking = board.person(scope=f"{WRITE if needed == READ else READ} posts:moderate", user_id=ada.id)
    refused = await board.pair.call(method, url, body, lacking.token)
    assert refused.status == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert needed in refused.headers["WWW-Authenticate"]
    assert (await board.pair.call(method, url, body)).status == 401
    assert (await board.call("GET", ada, f"/{post['id']}")).body == post
    allowed = board.person(scope=needed, user_id=ada.id)
    assert (await board.pair.call(method, url, body, allowed.token)).status in {200, 201, 204}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_the_first_reason_is_reported(board: Board, method: str) -> None:
    """Reasons to refuse a request are checked in this order: 401, 403 (scope), 404, 403 (author), 412."""
    ada, bob = board.person("Ada"), board.person("Bob")
    post = await board.write(ada)
    gone = await board.write(ada)
    await board.call("DELETE", ada, f"/{gone['id']}")
    body = {"title": "x"} if method == "PATCH" else None
    stale = {"If-Match": '"77"'}
    readers = board.person(scope="posts:read")
    for who, path, status, code in (
        (replace(bob, token="none"), gone["id"], 401, "token_malformed"),
        (readers, gone["id"], 403, "scope_missing"),
        (readers, post["id"], 403, "scope_missing"),
        (bob, gone["id"], 404, "not_found"),
        (ada, gone["id"], 404, "not_found"),
        (bob, post["id"], 403, "not_the_author"),
        (ada, post["id"], 412, "version_mismatch"),
    ):
        reply = await board.call(method, who, f"/{path}", body, headers=stale)
        assert (reply.status, reply.code) == (status, code)
    assert "ETag" not in (await board.call(method, bob, f"/{post['id']}", body, headers=stale)).headers
    assert (await board.call("GET", ada, f"/{post['id']}")).body == post


async def test_a_post_keeps_the_original_name_of_its_author(board: Board) -> None:
    """author_name is the name in the token when the post was written; a new name appears only on new posts."""
    ada = board.person("Ada")
    old = await board.write(ada)
    renamed = board.person("Ada Lovelace 🦉", user_id=ada.id)
    new = await board.write(renamed)
    assert (old["author_name"], new["author_name"]) == ("Ada", "Ada Lovelace 🦉")
    edited = await board.call("PATCH", renamed, f"/{old['id']}", {"title": "still one's own"})
    assert (edited.status, edited.body["author_name"]) == (200, "Ada")
    assert (await board.call("GET", renamed, "?author=me")).body["items"] == [new, edited.body]


@pytest.mark.parametrize("scope", [BOTH, MODERATOR])
async def test_all_own_posts_can_be_deleted(board: Board, scope: str) -> None:
    """DELETE /posts?author=me removes all posts of the caller and no others, even for a moderator."""
    ada, bob = board.person("Ada", scope), board.person("Bob")
    own = [await board.write(ada) for _ in range(3)]
    other = await board.write(bob)
    reply = await board.call("DELETE", ada, "?author=me")
    assert (reply.status, reply.body) == (200, {"deleted": 3})
    assert [(await board.call("GET", bob, f"/{post['id']}")).status for post in own] == [404] * 3
    assert (await board.call("GET", bob, f"/{other['id']}")).body == other
    assert (await board.call("DELETE", ada, "?author=me")).body == {"deleted": 0}


@pytest.mark.parametrize(
    "query", ["", "?author=", "?author=ME", "?author={id}", "?author=me&tag=x", "?author=me&author=me"]
)
async def test_nothing_is_deleted_by_mistake(board: Board, query: str) -> None:
    """DELETE /posts with any query other than author=me gets 400 and deletes nothing."""
    ada = board.person()
    post = await board.write(ada, tags=["x"])
    reply = await board.call("DELETE", ada, query.format(id=ada.id))
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert (await board.call("GET", ada, f"/{post['id']}")).body == post


async def test_concurrent_deletions_of_all_own_posts_succeed(board: Board) -> None:
    """Several requests can delete all posts of one author at once while more are being written."""
    ada = board.person()
    for _ in range(5):
        await board.execute(
            "INSERT INTO posts (author_id, author_name, title, body, tags)"
            " SELECT $1::text::uuid, 'Ada', 't', 'b', '{}' FROM generate_series(1, 300)",
            ada.id,
        )
        replies = await asyncio.gather(
            *(board.call("DELETE", ada, "?author=me") for _ in range(8)), *(board.write(ada) for _ in range(5))
        )
        deleted = sum(reply.body["deleted"] for reply in replies[:8])
        left = (await board.call("DELETE", ada, "?author=me")).body["deleted"]
        assert deleted + left == 305


async def test_head_has_the_headers_of_get(board: Board) -> None:
    """HEAD returns the same status and headers as GET, without the body."""
    ada = board.person()
    for _ in range(2):
        post = await board.write(ada)
    for path in ("?author=me&limit=1", f"/{post['id']}", "/0", "?limit=0"):
        get, head = await board.call("GET", ada, path), await board.call("HEAD", ada, path)
        assert (head.status, head.body) == (get.status, None)
        for name in ("Content-Length", "Content-Type", "ETag", "Link"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


@pytest.mark.direct
async def test_each_request_is_one_statement(database_url: str, keyring_file: Path) -> None:
    """Each request runs at most one statement (two if its idempotency key was used), and prepares none twice."""
    app = posts_app(database_url, keyring_file, database_connections=1)
    async with served(app) as base, ClientSession() as http:
        board = Board(Pair("", base, http), database_url, keyring_file)
        ada, statements = board.person(), list[str]()
        pool = app[POSTS]._store._database._pool
        assert pool is not None
        async with pool.acquire() as connection:
            connection.add_query_logger(lambda record: statements.append(record.query))
        keyed = {"Idempotency-Key": "k"}
        new: dict[str, Any] = {"title": "t", "body": "words", "tags": ["x"]}
        for _ in range(30):
            await board.write(ada, **new)
        # asyncpg looks up the type of a number array once per connection
        await board.call("PATCH", ada, "/1", {})
        requests: list[tuple[str, str, object, dict[str, str], int, int]] = [
            ("POST", "", new, {}, 201, 1),
            ("POST", "", new, keyed, 201, 1),
            ("POST", "", new, keyed, 201, 2),  # repeats the first response
            ("POST", "", {**new, "title": "u"}, keyed, 422, 2),
            ("GET", "?limit=20", None, {}, 200, 1),
            ("GET", "?limit=20&author=me&tag=x&tag=y&q=words", None, {}, 200, 1),
            ("HEAD", "?author=me", None, {}, 200, 1),
            ("GET", "/1", None, {}, 200, 1),
            ("GET", "/1", None, {"If-None-Match": '"1"'}, 304, 1),
            ("GET", "/999", None, {}, 404, 1),
            ("PATCH", "/1", {"title": "u"}, {}, 200, 1),
            ("PATCH", "/1", {}, {"If-Match": '"1"'}, 412, 1),
            ("PATCH", "/999", {"title": "u"}, {}, 404, 1),
            ("DELETE", "/2", None, {"If-Match": '"7"'}, 412, 1),
            ("DELETE", "/2", None, {}, 204, 1),
            ("OPTIONS", "/2", None, {}, 204, 0),
            ("GET", "/0", None, {}, 404, 0),
            ("PATCH", "/1", {"title": ""}, {}, 422, 0),
            ("DELETE", "", None, {}, 400, 0),
        ]
        for method, path, body, headers, status, number in requests:
            statements.clear()
            reply = await board.call(method, ada, path, body, headers=headers)
            assert (method, path, reply.status, len(statements)) == (method, path, status, number)
        prepared = await _prepared(pool)
        for method, path, body, headers, *_ in requests:
            await board.call(method, ada, path, body, headers=headers)
        assert await _prepared(pool) == prepared
        statements.clear()
        assert (await board.call("DELETE", ada, "?author=me")).status == 200
        assert len(statements) == 1


async def _prepared(pool: Any) -> set[tuple[str, str]]:
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT name, statement, generic_plans FROM pg_prepared_statements")
        # a generic plan would suit either frequent words or rare ones, never both
        assert {row["generic_plans"] for row in rows if "$1" in row["statement"]} == {0}
        return {(row[0], row[1]) for row in rows}


async def test_an_edit_keeps_every_field_when_its_tags_are_normalized(database_url: str, keyring_file: Path) -> None:
    """A field that is added to Edit later is kept when tags are edited with it."""
    bigger = make_dataclass("BiggerEdit", [("invented", bool | None, None)], bases=(Edit,), frozen=True)
    given: list[Any] = []

    class Recording(PostStore):
        async def change(
            self, post_id: int, by: Author, edit: Edit, versions: Collection[int] | None
        ) -> Found | Exhausted | None:
            given.append(edit)
            return await super().change(post_id, by, edit, versions)

    database, author = (
        create_database(posts_settings(database_url, keyring_file)),
        Author(uuid4(), "Ada", moderates=False),
    )
    limit = WriteLimit(10, 1)
    writes = Writes(database, limit)
    async with database.opened():
        rules = Posts(Recording(database, writes), IdempotencyStore(database, writes), limit)
        post = await rules.write(author, NewPost("A title", "Some text", []), None)
        changed = await rules.edit(post.id, author, bigger(title="New", tags=[" News "], invented=True), None)
    assert (changed.title, changed.tags) == ("New", ["news"])
    assert [(edit.title, edit.tags, edit.invented) for edit in given] == [("New", ["news"], True)]
