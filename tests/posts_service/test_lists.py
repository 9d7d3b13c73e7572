"""Lists: paging that stays correct during writes, and filters that accept any text."""

import asyncio
import random
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from posts_service.search_words import MAX_PHRASE_WORDS
from posts_service.store import search
from shared import cursor
from shared.base64url import encode
from tests.api_client import Reply, SignedIn
from tests.posts_service.board import Board

_LINK = re.compile(r'<(/posts\?[!-;=?-~]+)>; rel="next"')
WALK_LIMIT = 500
"""A walk with more pages than this must be a loop."""


async def walk(board: Board, who: SignedIn, **query: Any) -> list[list[Any]]:
    """Follow `Link: rel="next"` from the first page to the last, and return the pages."""
    path: str | None = "?" + urlencode(query, doseq=True)
    pages: list[list[Any]] = []
    while path is not None:
        assert len(pages) < WALK_LIMIT, "the pages form a loop"
        reply = await board.call("GET", who, path)
        assert reply.status == 200, reply
        pages.append(reply.body["items"])
        path = following(reply)
    return pages


def following(reply: Reply) -> str | None:
    """The URL of the next page without the leading /posts, after checking that `next` and Link agree."""
    if reply.body["next"] is None:
        assert "Link" not in reply.headers
        return None
    link = _LINK.fullmatch(reply.headers["Link"])
    assert link is not None, reply.headers["Link"]
    assert f"cursor={reply.body['next']}" in link[1].partition("?")[2].split("&")
    return link[1].removeprefix("/posts")


def ids(pages: Sequence[Sequence[Any]]) -> list[int]:
    """The ids of the posts on all pages."""
    return [post["id"] for page in pages for post in page]


async def shown(board: Board, who: SignedIn, **query: Any) -> list[str]:
    """The titles of the posts on the first page."""
    reply = await board.call("GET", who, "?" + urlencode(query, doseq=True))
    assert reply.status == 200, reply
    return [post["title"] for post in reply.body["items"]]


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (6, [5]), (100, [5])]
)
async def test_pages_are_as_long_as_the_limit(board: Board, limit: int, sizes: list[int]) -> None:
    """Posts are listed newest first, `limit` to a page, and a full last page has no `next` either."""
    ada = board.person()
    written = [(await board.write(ada, f"Post {number}"))["id"] for number in range(5)]
    pages = await walk(board, ada, author="me", limit=limit)
    assert [len(page) for page in pages] == sizes
    assert ids(pages) == written[::-1]


async def test_a_page_has_twenty_posts_by_default(board: Board) -> None:
    """Without `limit`, a page has 20 posts."""
    ada = board.person()
    for number in range(21):
        await board.write(ada, f"Post {number}")
    assert [len(page) for page in await walk(board, ada, author="me")] == [20, 1]


async def test_a_page_of_long_posts_is_shorter(board: Board) -> None:
    """A page ends early when it holds as much text as five posts of maximum length, and no post is skipped."""
    ada = board.person()
    written = [(await board.write(ada, body="x" * 100_000))["id"] for _ in range(7)]
    pages = await walk(board, ada, author="me", limit=100)
    assert [len(page) for page in pages] == [5, 2]
    assert ids(pages) == written[::-1]


async def test_an_empty_list_is_a_page(board: Board) -> None:
    """An empty list is one empty page without `next`."""
    reply = await board.call("GET", board.person(), "?author=me")
    assert (reply.status, reply.body) == (200, {"items": [], "next": None})
    assert "Link" not in reply.headers


async def test_the_link_keeps_every_filter(board: Board) -> None:
    """Each link leads to the next page of the same list, whatever characters its filters contain."""
    ada = board.person()
    tag, words = 'c++ & "c#" <=> 100%;/?', 'Zeile "zwei drei" or <b>🦉</b> & c++ -nichts %41'
    wanted = [(await board.write(ada, "Zeile zwei drei", "c++", tags=[tag, "é"]))["id"] for _ in range(5)]
    await board.write(ada, "Zeile zwei drei", tags=[tag])
    await board.write(ada, "etwas anderes", tags=[tag, "é"])
    await board.write(board.person(), "Zeile zwei drei", tags=[tag, "é"])
    for author in ("me", ada.id):
        pages = await walk(board, ada, author=author, tag=[tag, "é"], q=words, limit=2)
        assert [len(page) for page in pages] == [2, 2, 1]
        assert ids(pages) == wanted[::-1]


async def test_an_oddly_encoded_query_gets_a_working_link(board: Board) -> None:
    """The link works even if the query was encoded in an unusual way."""
    ada = board.person()
    wanted = [(await board.write(ada, "left right", tags=["a b"]))["id"] for _ in range(3)]
    path: str | None = f"?%61uthor=me&tag=a+b&tag=%61%20b&q=left%2Fright&limit=1&author={ada.id}"
    assert (await board.call("GET", ada, path or "")).status == 400  # author twice
    path = "?%61uthor=me&tag=a+b&tag=A%20b&q=left+%22right%22&limit=1"
    seen = []
    while path is not None:
        reply = await board.call("GET", ada, path)
        assert reply.status == 200, reply
        seen += ids([reply.body["items"]])
        path = following(reply)
    assert seen == wanted[::-1]


async def test_author_is_an_id_or_me(board: Board) -> None:
    """`author` selects the posts of one author, and `me` stands for the caller."""
    ada, bob = board.person("Ada"), board.person("Bob")
    await board.write(ada, "by Ada")
    await board.write(bob, "by Bob")
    assert await shown(board, ada, author="me") == ["by Ada"]
    assert await shown(board, bob, author="me") == ["by Bob"]
    assert await shown(board, bob, author=ada.id) == ["by Ada"]


@pytest.mark.parametrize("author", ["", "Me", "you", "1", "{id}x", "{{id}}", "urn:uuid:{id}", " me", "me\0"])
async def test_any_other_author_is_refused(board: Board, author: str) -> None:
    """An `author` that is neither `me` nor an id in canonical form gets 400."""
    ada = board.person()
    reply = await board.call("GET", ada, "?" + urlencode({"author": author.replace("{id}", ada.id)}))
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert [error["parameter"] for error in reply.body["errors"]] == ["author"]


async def test_several_tags_mean_all_of_them(board: Board) -> None:
    """A post must have all the tags that are given, which are normalised like a post's own tags."""
    ada = board.person()
    await board.write(ada, "one", tags=["red"])
    await board.write(ada, "two", tags=["red", "Blue", "É"])
    await board.write(ada, "three", tags=["blue"])
    assert await shown(board, ada, author="me", tag="red") == ["two", "one"]
    assert await shown(board, ada, author="me", tag=["red", "blue"]) == ["two"]
    assert await shown(board, ada, author="me", tag=[" RED ", "red", "e\u0301"]) == ["two"]
    assert await shown(board, ada, author="me", tag=["red", "blue", "green"]) == []
    assert await shown(board, ada, author="me", tag="re") == []


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ("quick", ["quick dog", "quick brown fox"]),
        ("QUICK", ["quick dog", "quick brown fox"]),
        ("quick fox", ["quick brown fox"]),
        ('"quick fox"', []),
        ('"brown fox"', ["quick brown fox"]),
        ("fox or dog", ["quick dog", "quick brown fox"]),
        ("quick -fox", ["quick dog"]),
        ("lazy", ["quick dog", "quick brown fox"]),
        ("日本語", ["quick dog"]),
        ("Ärger", ["quick dog"]),
        ("äRGER", ["quick dog"]),
        ("path", ["quick dog"]),
        ("example", ["quick dog"]),
        ("www.example.com/a_path", ["quick dog"]),
        ("-www.example.com", ["quick brown fox"]),
        ('quick -"brown fox"', ["quick dog"]),
        ("over-the", ["quick brown fox"]),
        ("qui", []),
    ],
)
async def test_words_are_searched_for_in_title_and_body(board: Board, words: str, titles: list[str]) -> None:
    """`q` works like a search box (words, "phrases", or, -not), ignores case, and covers title and body."""
    ada = board.person()
    await board.write(ada, "quick brown fox", "over the lazy one")
    await board.write(ada, "quick dog", "a lazy one, Ärger und 日本語, https://www.example.com/a_path?x")
    assert await shown(board, ada, author="me", q=words) == titles


HOSTILE = [
    '"', '""', '"""', '"unclosed', "'", "''", "';--", "\\", "\\\\", "\\'", "a\\", "\\0", "%", "%%", "$1", "{}", "-",
    "--", "- -", "-a", "--a", "-(", "!", "!!", "!a", "a!", "&", "&&", "a &", "& a", "|", "a | b", "<->", "a <-> b",
    "<2>", "a <99999999> b", "<", ">", "(", ")", "()", "(((", ")))", "((((a", ":", "a:", "a:*", ":*", "a:ABCD", "*",
    "or", "OR", "or or", "or or or", "a or", "or a", "a or or b", "-or", '"or"', '"" or ""', '-"', '-"a', '-""', ".",
    "a.b", "/", "http://", "http://a.b/c?d=e#f", "a@b.c", "<a href=\"'>", "&amp;", "&#0;", "1e999", "-1", "+1", "0x",
    "\t", "\n", "\r\n", " ", "\u00a0", "\u200b", "\u202e", "\ufeff", "\ufffe", "\uffff", "🦉", "👩‍👩‍👧", "e\u0301",
    "\u0301", "ﬀ", "İ", "ß", "日本", "\U0010ffff", "\x01", "\x1f", "\x7f", "\x85", "a" * 200, "(" * 200, '"' * 200,
    "-" * 200,
    "- " * 100, "-!" * 100, '-"' * 100, "-_" * 100, "-\u200b" * 100, "-\u3000" * 100, "-🦉" * 100,
    "a " * 100, "-a " * 66, "or " * 66, "a-" * 100, "🦉" * 200, "\u0301" * 200, "!(" * 100, "a|" * 100,
]  # fmt: skip


@pytest.mark.slow
async def test_any_words_can_be_searched_for(board: Board) -> None:
    """`q` accepts any text of 1 to 200 characters without NUL, unless it has too many words, and pages work."""
    ada = board.person()
    await board.write(ada, "a b or \\ '", 'b " <-> c')
    await board.write(ada, "a b or \\ '", 'b " <-> c')
    randomness = random.Random(7)  # noqa: S311  not used for secrets
    alphabet = "\"'\\()!&|<>:*-+ .@/%$ aborOR🦉\u0301日"
    made_up = ["".join(randomness.choices(alphabet, k=randomness.randint(1, 200))) for _ in range(150)]
    for words in HOSTILE + made_up:
        reply = await board.call("GET", ada, "?" + urlencode({"author": "me", "q": words, "limit": 1}))
        if reply.status == 400 and len(re.findall(r"\w+", words.replace("_", " "))) > MAX_PHRASE_WORDS:
            assert "words; " in reply.body["detail"], (words, reply)
            continue
        assert reply.status == 200, (words, reply)
        if path := following(reply):
            assert (await board.call("GET", ada, path)).status == 200, words


@pytest.mark.parametrize(
    "raw",
    ["%00", "a%00b", "", "a" * 201, quote("🦉" * 201)],
    ids=["NUL", "NUL inside", "empty", "201 characters", "201 owls"],
)
async def test_invalid_words_are_refused(board: Board, raw: str) -> None:
    """A `q` that is empty, contains NUL or has more than 200 characters gets 400 with its name."""
    reply = await board.call("GET", board.person(), f"?q={raw}")
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert [error["parameter"] for error in reply.body["errors"]] == ["q"]


@pytest.mark.parametrize("raw", ["%ED%A0%80", "%ff", "%C3", "a%F0%9F", "%", "%zz", "%u0041", "+%ED%B0%80+"])
@pytest.mark.parametrize("name", ["q", "tag", "author", "cursor", "limit"])
async def test_invalid_utf8_is_never_a_server_error(board: Board, name: str, raw: str) -> None:
    """Malformed percent-escapes, invalid UTF-8 and encoded surrogates never cause a 500."""
    ada = board.person()
    await board.write(ada)
    reply = await board.call("GET", ada, f"?limit=1&{name}={raw}" if name != "limit" else f"?limit={raw}")
    assert reply.status in (200, 400), reply


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ([("tag", "")], "tag/0", "text_blank"),
        ([("tag", "t" * 51)], "tag/0", "too_long"),
        ([("tag", "ok"), ("tag", "a\nb")], "tag/1", "text_refused"),
        ([("tag", f"t{number}") for number in range(11)], "tag", "too_many"),
        ([("q", "a"), ("q", "b")], "q", "parameter_repeated"),
        ([("author", "me"), ("author", "me")], "author", "parameter_repeated"),
        ([("title", "a")], "title", "field_unknown"),
    ],
)
async def test_an_invalid_filter_is_named(
    board: Board, query: list[tuple[str, str]], parameter: str, code: str
) -> None:
    """A filter that is too short, too long, repeated too often or unknown gets 400 with its name."""
    reply = await board.call("GET", board.person(), "?" + urlencode(query))
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    assert [(error["parameter"], error["code"]) for error in reply.body["errors"]] == [(parameter, code)]


async def test_a_cursor_that_was_altered_is_refused(board: Board) -> None:
    """A cursor with any character changed, added or removed gets 400 cursor_invalid."""
    ada = board.person()
    for _ in range(2):
        await board.write(ada)
    given = (await board.call("GET", ada, "?author=me&limit=1")).body["next"]
    other = {place: "AB"[given[place] == "A"] for place in range(len(given))}
    altered = [given[:place] + new + given[place + 1 :] for place, new in other.items()]
    altered += [given[:-1], given[1:], given + "A", given + "=", given + " ", given + "\n", given * 2]
    for text in altered:
        reply = await board.call("GET", ada, "?" + urlencode({"author": "me", "limit": 1, "cursor": text}))
        assert (reply.status, reply.code) == (400, "cursor_invalid"), text
    assert (await board.call("GET", ada, f"?author=me&limit=1&cursor={given}")).status == 200


async def test_a_cursor_of_another_format_is_refused(board: Board) -> None:
    """A cursor of another version or length gets 400 despite a valid checksum, and no position causes a 500."""
    ada = board.person()
    for _ in range(2):
        await board.write(ada)
    position = cursor.read((await board.call("GET", ada, "?author=me&limit=1")).body["next"], 16)
    future = b"\x02" + position
    future += zlib.crc32(future).to_bytes(4, "big")
    for text in (encode(future), cursor.write(position + b"\0"), cursor.write(position[:-1]), cursor.write(b"")):
        reply = await board.call("GET", ada, f"?author=me&limit=1&cursor={text}")
        assert (reply.status, reply.code) == (400, "cursor_invalid"), text
    for extreme in (bytes(8), b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), b"\xff" * 8):
        reply = await board.call("GET", ada, f"?author=me&limit=1&cursor={cursor.write(extreme + position[8:])}")
        assert reply.status in (200, 400), reply


async def test_a_cursor_belongs_to_its_filters(board: Board) -> None:
    """A cursor works only with the filters of the list that issued it, in any order and spelling."""
    ada, bob = board.person("Ada"), board.person("Bob")
    for who in (ada, ada, bob, bob):
        await board.write(who, "some words", tags=["x", "y"])
    made_for = {"author": "me", "tag": ["x", "y"], "q": "words"}
    given = (await board.call("GET", ada, "?" + urlencode({**made_for, "limit": 1}, doseq=True))).body["next"]

    async def answer(who: SignedIn, **query: Any) -> Reply:
        return await board.call("GET", who, "?" + urlencode({**query, "cursor": given}, doseq=True))

    assert (await answer(ada, **made_for)).status == 200
    assert (await answer(ada, **{**made_for, "tag": [" Y ", "x", "X"], "author": ada.id, "limit": 7})).status == 200
    for changed in (
        {**made_for, "author": bob.id},
        {**made_for, "tag": ["x"]},
        {**made_for, "tag": ["x", "y", "z"]},
        {**made_for, "q": "word"},
        {name: value for name, value in made_for.items() if name != "q"},
        {name: value for name, value in made_for.items() if name != "author"},
        {},
    ):
        reply = await answer(ada, **changed)
        assert (reply.status, reply.code) == (400, "cursor_invalid"), changed
    assert (await answer(bob, **made_for)).code == "cursor_invalid"


@pytest.mark.slow
async def test_a_walk_is_complete_while_others_write(board: Board) -> None:
    """While others insert, edit and delete, a walk shows every post that exists throughout exactly once."""
    ada = board.person()
    tag = "walked"
    numbers = range(120)
    written = [(await board.write(ada, f"Post {number}", "seen by walkers", tags=[tag]))["id"] for number in numbers]
    # during the walks a third of the posts are deleted, a third are edited, and a third are left alone
    staying = [post_id for number, post_id in enumerate(written) if number % 3]
    doomed, edited = written[::3], written[1::3]
    walking = True

    async def insert() -> None:
        while walking:
            await board.write(ada, "New", "seen by walkers", tags=[tag])

    async def remove() -> None:
        for post_id in sorted(doomed, key=lambda post_id: post_id * 31 % 97):
            assert (await board.call("DELETE", ada, f"/{post_id}")).status == 204
            await asyncio.sleep(0.002)

    async def edit() -> None:
        turns = cycle(edited)
        while walking:
            assert (await board.call("PATCH", ada, f"/{next(turns)}", {"title": "Edited"})).status == 200

    async def once(**query: Any) -> None:
        seen = ids(await walk(board, ada, limit=7, **query))
        assert len(seen) == len(set(seen)), "a post was shown twice"
        assert seen == sorted(seen, reverse=True)
        missing = set(staying) - set(seen)
        assert not missing, f"{len(missing)} posts were skipped"

    writers = [asyncio.create_task(writer()) for writer in (insert, insert, remove, edit)]
    try:
        async with asyncio.timeout(30):
            for _ in range(2):
                await asyncio.gather(once(author="me"), once(tag=tag), once(q="walkers", author="me"))
    finally:
        walking = False
        finished = await asyncio.gather(*writers, return_exceptions=True)
    assert finished == [None] * 4
    assert set(ids(await walk(board, ada, author="me", limit=100))) & set(written) == set(staying)


async def test_a_deletion_between_two_pages_hides_no_other_post(board: Board) -> None:
    """The next page is complete even if the last post of the previous page has been deleted."""
    ada = board.person()
    written = [(await board.write(ada))["id"] for _ in range(6)][::-1]
    first = await board.call("GET", ada, "?author=me&limit=2")
    for gone in written[:3]:
        await board.call("DELETE", ada, f"/{gone}")
    await board.write(ada, "too late for this walk")
    path = following(first)
    assert path is not None
    second = await board.call("GET", ada, path)
    assert ids([second.body["items"]]) == written[3:5]


@pytest.mark.slow
@pytest.mark.parametrize("near", [1, 2, 5, 12, 13, 10_000])
async def test_a_list_is_the_same_however_its_posts_are_found(
    board: Board, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    """A page is the same whether its posts are found next to the cursor, through the index, or both."""
    monkeypatch.setattr(search, "NEAR", near)
    ada, bob, tag = board.person("Ada"), board.person("Bob"), f"near {near}"
    posts = []
    for number in range(12):
        who = bob if number % 5 == 2 else ada
        tags = [tag, "x"] if number % 3 == 0 else [tag]
        posts.append(await board.write(who, ["even", "odd"][number % 2], tags=tags))
    queries: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        ({"tag": tag}, lambda _: True),
        ({"tag": tag, "q": "odd"}, lambda post: post["title"] == "odd"),
        ({"tag": [tag, "x"]}, lambda post: "x" in post["tags"]),
        ({"tag": tag, "author": "me"}, lambda post: post["author_name"] == "Ada"),
        ({"q": "even", "author": bob.id}, lambda post: post["author_name"] == "Bob" and post["title"] == "even"),
        ({"tag": [tag, "y"]}, lambda _: False),
    ]
    for query, wanted in queries:
        for limit in (1, 2, 3, 12, 100):
            pages = await walk(board, ada, limit=limit, **query)
            assert [post for page in pages for post in page] == [post for post in posts[::-1] if wanted(post)]


async def test_a_search_uses_its_index(board: Board) -> None:
    """Each filter can use an index."""
    conditions = {
        "author_id = '3f2b8c1e-9a4d-4c6b-8e2f-1d5a7b9c0e3f'": "posts_by_author",
        "tags @> ARRAY['x']": "posts_by_tag",
        "search @@ websearch_to_tsquery('simple', 'x')": "posts_by_word",
    }
    async with board.database() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        for condition, index in conditions.items():
            plan = await connection.fetch(f"EXPLAIN SELECT id FROM posts WHERE {condition}")
            assert any(index in row[0] for row in plan), plan
