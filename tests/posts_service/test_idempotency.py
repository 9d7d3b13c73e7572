"""Idempotency-Key: a repeated request takes effect once and gets the first response again."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientError, ClientSession

from dev import service_process as processes
from posts_service.store.sweep import SweepStore
from tests.api_client import SignedIn, posts_app, served
from tests.postgres import Server, opened
from tests.posts_service.board import UNLIMITED, Board, Raw

TRIES = 100
KILLS = 3


async def post(board: Board, who: SignedIn, key: str, base: str = "", **change: Any) -> Raw:
    """POST a post with an idempotency key."""
    body = json.dumps({"title": "Once", "body": "Ä text 🦉", "tags": ["B", "a", "b "], **change}).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return await board.raw("POST", who, base=base, headers=headers, data=body)


async def written_by(board: Board, who: SignedIn) -> int:
    """The number of a user's posts."""
    return await board.count("SELECT count(*) FROM posts WHERE author_id = $1::text::uuid", who.id)


async def test_the_same_request_again_gets_the_same_answer(board: Board) -> None:
    """Repeating a key with the same body writes no second post and gets the first response again."""
    ada, key = board.person("Ada"), uuid4().hex
    first = await post(board, ada, key)
    assert first.status == 201
    assert (await post(board, ada, key)).same_each_time == first.same_each_time
    assert await written_by(board, ada) == 1
    shown = await board.raw("GET", ada, first.headers["Location"].removeprefix("/posts"))
    assert shown.body == first.body


async def test_the_first_answer_outlives_its_post(board: Board) -> None:
    """The first response is repeated even after the post is edited or deleted, or its author is renamed."""
    ada, key = board.person("Ada"), uuid4().hex
    first = await post(board, ada, key)
    path = first.headers["Location"].removeprefix("/posts")
    assert (await board.call("PATCH", ada, path, {"title": "Edited", "tags": None})).status == 200
    assert (await post(board, ada, key)).same_each_time == first.same_each_time
    assert (await board.call("DELETE", ada, path)).status == 204
    assert (await post(board, ada, key)).same_each_time == first.same_each_time
    renamed = board.person("Ada Lovelace", user_id=ada.id)
    assert (await post(board, renamed, key)).same_each_time == first.same_each_time
    assert (await board.call("GET", ada, path)).status == 404
    assert await written_by(board, ada) == 0


async def test_another_replica_gives_the_same_answer(board: Board) -> None:
    """All replicas of the service share their keys."""
    ada, key = board.person(), uuid4().hex
    first = await post(board, ada, key)
    assert (await post(board, ada, key, board.replica)).same_each_time == first.same_each_time


async def test_a_restart_forgets_no_key(board: Board) -> None:
    """Keys survive a restart of the service."""
    ada, key = board.person(), uuid4().hex
    answers = []
    for _ in range(2):
        async with served(posts_app(board.database_url, board.keyring)) as base:
            answers.append((await post(board, ada, key, base)).same_each_time)
    assert answers[0] == answers[1]
    assert await written_by(board, ada) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Twice"},
        {"body": "Ä text 🦉 "},
        {"tags": []},
        {"tags": ["a", "b"]},
        {"title": "Onc", "body": "eÄ text 🦉"},
    ],
)
async def test_a_key_is_good_for_one_post(board: Board, change: dict[str, Any]) -> None:
    """Repeating a key with another body gets 422 idempotency_mismatch, and nothing is written."""
    ada, key = board.person(), uuid4().hex
    first = await post(board, ada, key)
    other = await post(board, ada, key, **change)
    assert (other.status, json.loads(other.body)["code"]) == (422, "idempotency_mismatch")
    assert await written_by(board, ada) == 1
    assert (await post(board, ada, key)).same_each_time == first.same_each_time


async def test_the_spelling_of_the_json_does_not_matter(board: Board) -> None:
    """The same post with the same key is the same request, however its JSON is written."""
    ada, key = board.person(), uuid4().hex
    first = await post(board, ada, key)
    headers = {"Idempotency-Key": key, "Content-Type": "application/json; charset=utf-8"}
    body = '{ "tags": ["B","a","b "],\n"body": "Ä text 🦉", "title": "\\u004fnce" }'.encode()
    again = await board.raw("POST", ada, headers=headers, data=body)
    assert again.same_each_time == first.same_each_time


async def test_a_refused_request_does_not_use_up_its_key(board: Board) -> None:
    """After a refused request, its key can be used for another one."""
    ada, key = board.person(), uuid4().hex
    assert (await post(board, ada, key, title="")).status == 422
    assert (await post(board, board.person(scope="posts:read", user_id=ada.id), key)).status == 403
    assert (await post(board, ada, key)).status == 201
    assert await written_by(board, ada) == 1


async def test_a_key_belongs_to_its_author(board: Board) -> None:
    """Two authors can use the same key for different posts."""
    ada, bob, key = board.person("Ada"), board.person("Bob"), uuid4().hex
    first, second = await post(board, ada, key), await post(board, bob, key, title="Another")
    assert (first.status, second.status) == (201, 201)
    assert first.headers["Location"] != second.headers["Location"]
    assert json.loads(second.body)["author_name"] == "Bob"


async def test_a_hundred_tries_at_once_make_one_post(board: Board) -> None:
    """A hundred identical requests at once, to two replicas, make one post and all get the same response."""
    ada, key = board.person(), uuid4().hex
    bases = (board.pair.posts, board.replica)
    answers = await asyncio.gather(*(post(board, ada, key, bases[number % 2]) for number in range(TRIES)))
    assert len({answer.same_each_time for answer in answers}) == 1
    assert answers[0].status == 201
    assert await written_by(board, ada) == 1


async def test_of_two_posts_under_one_key_at_once_one_is_written(board: Board) -> None:
    """When different posts arrive at once with the same key, one is written and the others get 422."""
    ada, key = board.person(), uuid4().hex
    answers = await asyncio.gather(*(post(board, ada, key, title=f"Try {number}") for number in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [422] * 19
    assert await written_by(board, ada) == 1


async def test_a_key_is_free_after_a_day(board: Board) -> None:
    """A key belongs to its post for 24 hours and can then be used for another one."""
    ada, key = board.person(), uuid4().hex
    first = await post(board, ada, key)
    move = "UPDATE idempotency_keys SET created_at = created_at - $2::text::interval WHERE author_id = $1::text::uuid"
    await board.execute(move, ada.id, "23 hours 59 minutes")
    assert (await post(board, ada, key)).headers["Location"] == first.headers["Location"]
    assert (await post(board, ada, key, title="Other")).status == 422
    await board.execute(move, ada.id, "1 minute")
    # even if many requests find the key expired, only one post is made
    answers = await asyncio.gather(*(post(board, ada, key, title="Other") for _ in range(20)))
    assert len({answer.same_each_time for answer in answers}) == 1
    assert answers[0].status == 201
    assert answers[0].headers["Location"] != first.headers["Location"]
    assert await written_by(board, ada) == 2
    assert (await post(board, ada, key)).status == 422


async def test_expired_keys_are_swept(database_url: str, board: Board) -> None:
    """A sweep removes only keys older than 24 hours, in batches, and two replicas can sweep at once."""
    async with (
        served(posts_app(database_url, board.keyring)),
        opened(database_url) as one,
        opened(database_url) as other,
    ):
        board = replace(board, database_url=database_url)
        insert = (
            "INSERT INTO idempotency_keys"
            " SELECT gen_random_uuid(), 'key ' || n, '', n, 'Ada', now() - $2::text::interval"
            " FROM generate_series(1, $1::int) AS n"
        )
        await board.execute(insert, 1_100, "24 hours")
        await board.execute(insert, 30, "23 hours 59 minutes")
        sweeps = [SweepStore(database).sweep for database in (one, other)]
        assert await sweeps[0]() is True
        assert await board.count("SELECT count(*) FROM idempotency_keys") == 630
        while any(await asyncio.gather(*(sweep() for sweep in sweeps))):
            pass
        assert await board.count("SELECT count(*) FROM idempotency_keys") == 30


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 256, "a\tb", "🦉"])
async def test_a_malformed_key_is_refused(board: Board, key: str) -> None:
    """A key that isn't 1 to 255 visible ASCII characters gets 400 with the header's name, and nothing is written."""
    ada = board.person()
    reply = await post(board, ada, key)
    problem = json.loads(reply.body)
    assert (reply.status, problem["code"]) == (400, "header_invalid")
    assert [error["header"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert await written_by(board, ada) == 0


async def test_two_keys_are_refused(board: Board) -> None:
    """Two Idempotency-Key headers get 400, even if they are the same."""
    ada = board.person()
    headers = [("Authorization", f"Bearer {ada.token}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    async with board.pair.http.post(board.url, headers=headers, json={"title": "t", "body": "b"}) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "header_invalid")


@pytest.mark.parametrize(
    "key", ["k", "k" * 255, "".join(map(chr, range(0x21, 0x7F))), "550e8400-e29b-41d4-a716-446655440000"]
)
async def test_a_key_of_visible_ascii_is_accepted(board: Board, key: str) -> None:
    """A key may have up to 255 characters, each any visible ASCII character."""
    ada = board.person()
    first = await post(board, ada, key)
    assert first.status == 201
    assert (await post(board, ada, key)).same_each_time == first.same_each_time


async def test_without_a_key_every_request_makes_a_post(board: Board) -> None:
    """Sending the same body twice without a key makes two posts."""
    ada = board.person()
    await board.write(ada)
    await board.write(ada)
    assert await written_by(board, ada) == 2


@pytest.fixture
async def killable(database_server: Server) -> AsyncIterator[str]:
    """A database for a service that will be killed."""
    url = await database_server.create_database()
    yield url
    await database_server.drop_database(url)


@pytest.mark.slow
async def test_a_kill_in_the_middle_leaves_one_post_or_none(killable: str, board: Board) -> None:
    """After kill -9 in the middle of writes, every repeated request has made exactly one post.

    A request that was answered before the kill gets the same response again.
    """
    ada = board.person("Ada")
    keys = [uuid4().hex for _ in range(120)]
    answered: dict[str, tuple[Any, ...]] = {}

    async def send(http: ClientSession, base: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {ada.token}", "Idempotency-Key": key}
        async with http.post(f"{base}/posts", headers=headers, json={"title": key, "body": "text " * 200}) as response:
            answer = Raw(response.status, response.headers, await response.read())
            assert answer.status == 201, answer
            assert answered.setdefault(key, answer.same_each_time) == answer.same_each_time

    for kill in range(KILLS + 1):
        service = processes.start(
            "posts", port=processes.free_port(), database_url=killable, keyring=board.keyring, more=UNLIMITED
        )
        try:
            await asyncio.to_thread(processes.wait_until_ready, [service])
            async with ClientSession() as http:
                sending = [asyncio.create_task(send(http, service.url, key)) for key in keys]
                if kill < KILLS:
                    # by now some are answered, some are in progress, and some have not begun
                    while sum(task.done() for task in sending) < 10 * (kill + 1):
                        await asyncio.sleep(0)
                    service.process.send_signal(signal.SIGKILL)
                done = await asyncio.gather(*sending, return_exceptions=True)
        finally:
            service.process.kill()
            service.process.wait()
        failed = [error for error in done if error is not None]
        assert all(isinstance(error, ClientError) for error in failed), failed
        assert bool(failed) == (kill < KILLS), "the kill came after all requests were answered"
    assert len(answered) == len(keys)
    titles = "SELECT count(*), count(DISTINCT title) FROM posts"
    async with replace(board, database_url=killable).database() as connection:
        assert tuple(await connection.fetchrow(titles) or ()) == (len(keys), len(keys))
        orphans = "SELECT count(*) FROM idempotency_keys WHERE post_id NOT IN (SELECT id FROM posts)"
        assert await connection.fetchval(orphans) == 0
