"""One user must not stop the others: limits of searches, of writes, and of what a page loads."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import pytest

from posts_service.model import Filter, PageSize
from posts_service.posts import PAGE_BYTES, SEARCH_SECONDS
from posts_service.search_words import terms
from posts_service.store import search
from posts_service.store.posts import COLUMNS
from posts_service.store.sweep import SweepStore
from shared.database.pool import STATEMENT_SECONDS
from tests.api_client import Pair, Reply, SignedIn, posts_app, served
from tests.postgres import opened
from tests.posts_service.board import Board

SEARCHES = 12


@asynccontextmanager
async def limited(board: Board, **settings: Any) -> AsyncIterator[Board]:
    """Two replicas with other limits, on the same database."""
    url, keyring = board.database_url, board.keyring
    async with served(posts_app(url, keyring, **settings)) as one, served(posts_app(url, keyring, **settings)) as other:
        yield replace(board, pair=Pair("", one, board.pair.http), replica=other)


TOO_MANY_WORDS = {
    "97 in quotes": ('"' + " ".join("a" * 97) + '"', "at most 10 words; 97 were sent"),
    "eleven": ("a b c d e f g h i j k", "at most 10 words; 11 were sent"),
    "eleven, some excluded": ("a b c d e f -g -h -i -j -k", "at most 10 words; 11 were sent"),
    "eleven alternatives": (" or ".join("abcdefghijk"), "at most 10 words; 11 were sent"),
    "nothing but or": ("or " * 66, "at most 10 words; 33 were sent"),
    "six in quotes": ('"a b c d e f"', "a phrase in it must have at most 5 words; 6 were sent"),
    "six excluded": ('x -"a b c d e f"', "a phrase in it must have at most 5 words; 6 were sent"),
    "six in quotes that never end": ('"a b c d e f', "a phrase in it must have at most 5 words; 6 were sent"),
    "six with hyphens": ("a-b-c-d-e-f", "a phrase in it must have at most 5 words; 6 were sent"),
    "six with every sign": ("a.b/c@d#e_f", "a phrase in it must have at most 5 words; 6 were sent"),
    "six with owls": ("a🦉b🦉c🦉d🦉e🦉f", "a phrase in it must have at most 5 words; 6 were sent"),
    "six with dashes": ("a—b—c—d—e—f", "a phrase in it must have at most 5 words; 6 were sent"),
}


@pytest.mark.parametrize("name", TOO_MANY_WORDS)
async def test_a_search_with_too_many_words_is_refused(board: Board, name: str) -> None:
    """More than ten words, or more than five in a phrase, are 400; the error names the parameter and the limit."""
    words, message = TOO_MANY_WORDS[name]
    reply = await board.call("GET", board.person(), "?" + urlencode({"q": words}))
    assert (reply.status, reply.code) == (400, "parameter_invalid")
    [error] = reply.body["errors"]
    assert (error["parameter"], error["code"]) == ("q", "value_invalid")
    assert message in error["message"]


@pytest.mark.parametrize(
    "words",
    [
        "a b c d e f g h i j",
        '"a b c d e" "f g h i j"',
        '"a b c d e" -"f g h i j"',
        " or ".join("abcdefghij"),
        "- " * 50 + "a b c",
        "🦉" * 200,
        "e\u0301" * 100,
        "한국어 हिन्दी العربية",
    ],
)
async def test_a_search_within_the_limit_is_made(board: Board, words: str) -> None:
    """Ten words, five of them in a phrase, can be searched for; marks belong to their letter, symbols are no words."""
    assert (await board.call("GET", board.person(), "?" + urlencode({"q": words}))).status == 200


async def test_postgres_finds_no_more_words_than_were_counted(board: Board) -> None:
    """What is counted is what Postgres makes of a search, or more."""
    async with board.database() as connection:
        for words, _ in TOO_MANY_WORDS.values():
            query = search._query(words)
            found = await connection.fetchval("SELECT numnode(websearch_to_tsquery('simple', $1))", query)
            counted = sum(term.words for term in terms(words))
            # an operator between each two words, one for each that is excluded, and a word for an `or` at the end
            assert found <= 3 * counted + 1, (words, found, counted)


@asynccontextmanager
async def no_answers_from(board: Board) -> AsyncIterator[None]:
    """Makes every search of posts take very long."""
    async with board.database() as connection, connection.transaction():
        await connection.execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("query", ["?q=word", "?tag=word"])
@pytest.mark.slow
async def test_a_search_that_takes_long_is_cancelled(database_url: str, board: Board, query: str) -> None:
    """After a second it is 503 search_too_expensive, with the next step; Postgres has stopped working on it by then."""
    async with limited(replace(board, database_url=database_url)) as here:
        ada = here.person()
        async with no_answers_from(here):
            started = time.monotonic()
            reply = await here.call("GET", ada, query)
            assert SEARCH_SECONDS <= time.monotonic() - started < STATEMENT_SECONDS
            assert (reply.status, reply.code) == (503, "search_too_expensive")
            assert (reply.headers["Retry-After"], reply.body["hint"]) == ("1", "Use fewer or rarer words.")
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%edge%'"
            assert await here.count(f"{waiting} AND state = 'active' AND pid <> pg_backend_pid()") == 0
        assert (await here.call("GET", ada, query)).status == 200


@pytest.mark.slow
async def test_searches_leave_connections_to_others(database_url: str, board: Board) -> None:
    """While a dozen searches take as long as they may, others get a connection at once; searches wait for a second."""
    async with limited(replace(board, database_url=database_url), database_connections=4) as here:
        ada = here.person()
        async with no_answers_from(here):
            searches = [asyncio.create_task(here.call("GET", ada, "?q=word")) for _ in range(SEARCHES)]
            await asyncio.sleep(0.2)
            for _ in range(5):
                assert (await here.pair.call("GET", f"{here.pair.posts}/health/ready")).status == 200
            assert not any(search.done() for search in searches)
            replies = await asyncio.gather(*searches)
        codes = [reply.code for reply in replies]
        assert set(codes) == {"search_too_expensive", "busy"}
        assert codes.count("busy") >= SEARCHES - 3
        assert all(int(reply.headers["Retry-After"]) == 1 for reply in replies)


@pytest.mark.slow
async def test_a_list_without_a_search_is_not_limited_like_one(database_url: str, board: Board) -> None:
    """The list of all posts, and an author's, wait as long as any other request."""
    async with limited(replace(board, database_url=database_url)) as here:
        ada = here.person()
        async with no_answers_from(here):
            lists = [asyncio.create_task(here.call("GET", ada, path)) for path in ("", "?author=me")]
            await asyncio.sleep(1.5)
        assert [reply.status for reply in await asyncio.gather(*lists)] == [200, 200]


async def write(board: Board, who: SignedIn, base: str = "", **headers: str) -> Reply:
    """POST a post to one of the replicas."""
    url, named = base or board.pair.posts, {name.replace("_", "-"): value for name, value in headers.items()}
    return await board.pair.call("POST", f"{url}/posts", {"title": "t", "body": "b"}, who.token, headers=named)


def is_refused(reply: Reply) -> bool:
    """Whether it is 429, with a time to wait."""
    if reply.status != 429:
        return False
    assert reply.code == "too_many_requests"
    assert f"try again in {reply.headers['Retry-After']} s" in reply.body["detail"]
    return True


async def test_each_write_counts_on_every_replica(board: Board) -> None:
    """POST, PATCH, DELETE, and DELETE of all posts cost one each, to whichever replica; then it is 429.

    Reading goes on, and so do other users.
    """
    async with limited(board, writes_burst=5, writes_per_second=0.01) as here:
        ada, bob = here.person("Ada"), here.person("Bob")
        first = await write(here, ada)
        assert (first.status, (await write(here, ada, here.replica)).status) == (201, 201)
        path = f"/{first.body['id']}"
        assert (await here.call("PATCH", ada, path, {"title": "u"})).status == 200
        assert (await here.call("DELETE", ada, path)).status == 204
        assert (await here.call("DELETE", ada, "?author=me")).body == {"deleted": 1}
        bobs = await write(here, bob)
        for reply in (
            await write(here, ada),
            await write(here, ada, here.replica),
            await write(here, ada, Idempotency_Key="k"),
            await here.call("PATCH", ada, f"/{bobs.body['id']}", {"title": "u"}),
            await here.call("DELETE", ada, path),
            await here.call("DELETE", ada, "?author=me"),
        ):
            assert is_refused(reply), reply
            assert 90 <= int(reply.headers["Retry-After"]) <= 100
        assert await here.count("SELECT count(*) FROM posts WHERE author_id = $1::text::uuid", ada.id) == 0
        assert (await here.call("GET", ada, f"/{bobs.body['id']}")).body == bobs.body
        assert (await write(here, bob)).status == 201


async def test_what_is_refused_or_changes_nothing_counts_too(board: Board) -> None:
    """A write that finds no post, or another's, or another version, costs as much as one that succeeds."""
    async with limited(board, writes_burst=4, writes_per_second=0.01) as here:
        ada, bob = here.person("Ada"), here.person("Bob")
        post, own = (await write(here, ada)).body, (await write(here, bob)).body
        assert (await here.call("DELETE", bob, "/999999999")).status == 404
        assert (await here.call("PATCH", bob, f"/{post['id']}", {"title": "u"})).status == 403
        assert (await here.call("DELETE", bob, f"/{own['id']}", headers={"If-Match": '"7"'})).status == 412
        assert is_refused(await here.call("DELETE", bob, f"/{own['id']}"))


async def test_of_many_writes_at_once_as_many_are_made_as_the_limit_says(board: Board) -> None:
    """Parallel writes to two replicas never add up to more than the limit, keyed or not, and none fails otherwise."""
    async with limited(board, writes_burst=7, writes_per_second=0.01) as here:
        ada = here.person()
        bases = here.pair.posts, here.replica
        replies = await asyncio.gather(
            *(write(here, ada, bases[number % 2]) for number in range(20)),
            *(write(here, ada, bases[number % 2], Idempotency_Key=f"k{number}") for number in range(20)),
        )
        assert sum(reply.status == 201 for reply in replies) == 7
        assert sum(is_refused(reply) for reply in replies) == 33
        assert await here.count("SELECT count(*) FROM posts WHERE author_id = $1::text::uuid", ada.id) == 7


@asynccontextmanager
async def sending(base: str, who: SignedIn, length: int, *, bodies: int) -> AsyncIterator[None]:
    """Send so many bodies of this length, all but the last byte, for the duration of the block."""
    address = urlsplit(base)
    head = (
        f"POST /posts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {who.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    writers = [(await asyncio.open_connection(address.hostname, address.port))[1] for _ in range(bodies)]
    for writer in writers:
        writer.write(head.encode() + b" " * (length - 1))
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


async def test_large_bodies_that_arrive_slowly_do_not_add_up(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user sends four large bodies at a time; a fifth gets 503. Small ones, and those of others, are accepted."""
    monkeypatch.setattr("shared.http.body.ROOM_SECONDS", 0.3)
    ada, bob, large = board.person("Ada"), board.person("Bob"), {"title": "t", "body": "x" * 90_000}
    async with sending(board.pair.posts, ada, 2_000_000, bodies=4):
        refused = await board.call("POST", ada, "", large)
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "busy", "1")
        assert (await write(board, ada)).status == 201
        assert (await board.call("POST", bob, "", large)).status == 201
    assert (await board.call("POST", ada, "", large)).status == 201


async def test_a_change_that_changes_nothing_writes_nothing(board: Board) -> None:
    """A PATCH that leaves everything as it is does not write the row again, which would index its whole text."""
    ada = board.person()
    post = await board.write(ada)
    query = "SELECT xmin::text::bigint FROM posts WHERE id = $1"
    before = await board.count(query, post["id"])
    for changes in ({}, {"title": post["title"]}, {"body": post["body"], "tags": post["tags"]}):
        same = await board.call("PATCH", ada, f"/{post['id']}", changes)
        assert (same.status, same.body, same.headers["ETag"]) == (200, post, '"1"')
    assert await board.count(query, post["id"]) == before
    assert (await board.call("PATCH", ada, f"/{post['id']}", {"title": "New"})).body["version"] == 2


async def test_a_long_text_counts_several_times(board: Board) -> None:
    """A text of 100,000 characters counts as eleven writes, in a new post and in a change, but never more than all."""
    async with limited(board, writes_burst=24, writes_per_second=0.01) as here:
        ada, long = here.person("Ada"), {"title": "t", "body": "x" * 100_000}
        post = await here.call("POST", ada, "", long)
        assert (post.status, (await here.call("PATCH", ada, f"/{post.body['id']}", long)).status) == (201, 200)
        assert is_refused(await here.call("POST", ada, "", long, headers={"Idempotency-Key": "k"}))
        assert [(await write(here, ada)).status for _ in range(3)] == [201, 201, 429]
    async with limited(board, writes_burst=3, writes_per_second=0.01) as here:
        assert [(await here.call("POST", ada, "", long)).status for ada in (here.person(), here.person())] == [201, 201]


async def test_one_users_writes_use_one_connection(board: Board, database_url: str) -> None:
    """While one user's writes are slow, all of them together hold one connection, and others read and write."""
    async with limited(replace(board, database_url=database_url), database_connections=2, writes_burst=50) as here:
        ada, bob = here.person("Ada"), here.person("Bob")
        post = await write(here, bob)
        await here.execute("INSERT INTO write_allowances VALUES ($1::text::uuid, now())", ada.id)
        async with here.database() as connection, connection.transaction():
            await connection.execute("SELECT FROM write_allowances WHERE user_id = $1::text::uuid FOR UPDATE", ada.id)
            asking = [asyncio.create_task(write(here, ada)) for _ in range(10)]
            asking += [asyncio.create_task(write(here, ada, Idempotency_Key=f"k{number}")) for number in range(10)]
            await asyncio.sleep(0.1)
            for _ in range(5):
                assert (await here.call("GET", bob, f"/{post.body['id']}")).status == 200
                assert (await write(here, bob)).status == 201
            assert not any(task.done() and task.result().status == 201 for task in asking)
        # those that waited for longer than a second were refused
        assert {reply.status for reply in await asyncio.gather(*asking)} <= {201, 503}


async def test_writes_are_regained_by_the_clock_of_the_database(board: Board) -> None:
    """Each `1 / WRITES_PER_SECOND` seconds another write is accepted, and never more than WRITES_BURST at once."""
    async with limited(board, writes_burst=3, writes_per_second=0.1) as here:
        ada = here.person()

        async def made() -> int:
            return sum([(await write(here, ada)).status == 201 for _ in range(5)])

        async def pass_seconds(seconds: int) -> None:
            move = "UPDATE write_allowances SET full_at = full_at - $2 * interval '1 s' WHERE user_id = $1::text::uuid"
            await here.execute(move, ada.id, seconds)

        assert await made() == 3
        await pass_seconds(10)
        assert await made() == 1
        await pass_seconds(20)
        assert await made() == 2
        await pass_seconds(10_000)
        assert await made() == 3


@pytest.mark.slow
async def test_a_key_that_comes_again_after_the_wait_gets_its_answer(board: Board) -> None:
    """A keyed request refused for the limit uses no key up, and a repeated one gets the first answer."""
    async with limited(board, writes_burst=1, writes_per_second=4) as here:
        ada = here.person()
        first = await write(here, ada, Idempotency_Key="first")
        assert first.status == 201
        assert is_refused(await write(here, ada, Idempotency_Key="second"))
        await asyncio.sleep(0.3)
        assert (await write(here, ada, Idempotency_Key="first")).body == first.body
        await asyncio.sleep(0.3)
        assert (await write(here, ada, Idempotency_Key="second")).status == 201


async def test_full_allowances_are_swept(database_url: str, board: Board) -> None:
    """A sweep removes, in batches, the rows of users who have regained everything, and no others."""
    async with (
        limited(replace(board, database_url=database_url)) as here,
        opened(database_url) as database,
    ):
        insert = (
            "INSERT INTO write_allowances SELECT gen_random_uuid(), now() + $2 * interval '1 s'"
            " FROM generate_series(1, $1::int)"
        )
        await here.execute(insert, 700, -1)
        await here.execute(insert, 30, 60)
        sweep = SweepStore(database).sweep
        assert await sweep() is True
        assert await here.count("SELECT count(*) FROM write_allowances") == 230
        assert await sweep() is False
        assert await here.count("SELECT count(*) FROM write_allowances") == 30


async def rows_of(board: Board, wanted: Filter, posts: int) -> Sequence[Mapping[str, Any]]:
    """What the statement of a page makes Postgres send."""
    statement, arguments = search.statement(COLUMNS, wanted, 2**63 - 1, PageSize(posts, PAGE_BYTES))
    async with board.database() as connection:
        return [dict(row) for row in await connection.fetch(statement, *arguments)]


@pytest.mark.slow
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize(
    ("body", "limit", "fitting"),
    [("x" * 100_000, 100, 5), ("x" * 100_000, 5, 5), ("x" * 100_000, 3, 3), ("🦉" * 100_000, 100, 1), ("x", 100, 12)],
    ids=["large", "large, up to the limit", "large, a short page", "large in bytes", "small"],
)
async def test_a_page_loads_what_it_shows(board: Board, body: str, limit: int, fitting: int, filtered: bool) -> None:
    """Postgres sends the posts of the page, and no text of any other: of the next one, only that there is one."""
    ada, tag = board.person(), f"loaded {len(body)} {ord(body[0])} {limit} {int(filtered)}"
    written = [(await board.write(ada, body=body, tags=[tag]))["id"] for _ in range(12)][::-1]
    query = {"author": "me", "limit": limit, **({"tag": tag} if filtered else {})}
    rows = await rows_of(board, Filter(UUID(ada.id), [tag] if filtered else ()), limit)
    assert [row["fits"] for row in rows] == [True] * fitting + [False] * (fitting < 12)
    assert [len(row["body"] or "") for row in rows] == [len(body)] * fitting + [0] * (fitting < 12)
    reply = await board.call("GET", ada, "?" + urlencode(query))
    assert [post["id"] for post in reply.body["items"]] == written[:fitting]
    assert (reply.body["next"] is not None) == (fitting < 12)
