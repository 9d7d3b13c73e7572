"""docs/examples/python/client.py against the running services, with answers that get lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web

from docs.examples.python import client as example
from docs.examples.python.client import Client, OutcomeUnknown, Problem, SignedOut, Unavailable
from tests.api_client import PASSWORD, Pair, served
from tests.auth_service.alone import Auth, Member, alone
from tests.postgres import Server


@dataclass
class Relay:
    """Stands in front of a service, and loses answers: the service has done what was asked, and nobody hears of it."""

    url: str = ""
    lose: int = 0
    """How many of the next answers to lose."""
    requests: list[bytes] = field(default_factory=list)

    def sent(self, header: str) -> list[str]:
        """The values of a header in all requests."""
        lines = [line.decode() for request in self.requests for line in request.split(b"\r\n")]
        return [line.partition(": ")[2] for line in lines if line.startswith(f"{header}: ")]


@asynccontextmanager
async def relay(base: str) -> AsyncIterator[Relay]:
    """Relay connections to a base URL for the duration of the block."""
    made = Relay()
    target = urlsplit(base)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service_reader, service_writer = await asyncio.open_connection(target.hostname, target.port)

        async def forth() -> None:
            while data := await reader.read(2**16):
                made.requests.append(data)
                service_writer.write(data)
            service_writer.close()

        forward = asyncio.create_task(forth())
        while data := await service_reader.read(2**16):
            if made.lose:
                made.lose -= 1
                break
            writer.write(data)
        forward.cancel()
        for each in (writer, service_writer):
            each.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield made


@dataclass
class Clock:
    """The client's time, which the test moves."""

    now: float = 1_000_000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    async def pause(self, seconds: float) -> None:
        """Note a pause instead of waiting."""
        self.pauses.append(seconds)


@dataclass
class Desk:
    """A signed-in client, behind a relay to each service."""

    client: Client
    auth: Relay
    posts: Relay
    service: Auth
    member: Member
    clock: Clock

    @property
    def pauses(self) -> list[float]:
        """The pauses that the client would have made."""
        return self.clock.pauses

    async def session(self) -> Any:
        """The row of the client's session."""
        return await self.service.database.fetchrow(
            "SELECT * FROM sessions WHERE user_id = $1 AND id <> $2", self.member.id, self.member.tokens.session
        )


@pytest.fixture(scope="module")
async def service(database_server: Server, keyring_file: Path) -> AsyncIterator[Auth]:
    """An auth service whose database the tests can change."""
    database = await database_server.create_database()
    async with alone(database, keyring_file) as made:
        yield made
    await database_server.drop_database(database)


@pytest.fixture
async def desk(service: Auth, pair: Pair) -> AsyncIterator[Desk]:
    """A new user who has logged in with the example."""
    async with (
        relay(service.auth) as auth,
        relay(pair.posts) as posts,
        ClientSession() as http,
    ):
        clock = Clock()
        client = Client(http, auth.url, posts.url, clock=clock, pause=clock.pause)
        made = Desk(client, auth, posts, service, await service.join(), clock)
        await client.log_in(made.member.email, PASSWORD)
        yield made


async def test_it_reads_and_writes(desk: Desk) -> None:
    """Each of the five calls does what it says, and a refusal is raised with its code."""
    made = await desk.client.create("/posts", {"title": "One", "body": "Some text"})
    path = made.headers["Location"]
    changed = await desk.client.change(path, made.headers["ETag"], {"title": "Two"})
    assert (await desk.client.read(path)).body["title"] == "Two"
    with pytest.raises(Problem) as stale:
        await desk.client.change(path, made.headers["ETag"], {"title": "Three"})
    assert (stale.value.status, stale.value.code) == (412, "version_mismatch")
    for _ in range(2):
        await desk.client.delete(path, changed.headers["ETag"])
    with pytest.raises(Problem) as gone:
        await desk.client.read(path)
    assert gone.value.code == "not_found"
    await desk.client.log_out()
    with pytest.raises(SignedOut):
        await desk.client.read("/posts")
    assert await desk.session() is None


async def test_it_refreshes_before_the_token_expires_and_once_at_a_time(desk: Desk) -> None:
    """Twenty calls after four fifths of the lifetime share one refresh; before that there is none."""
    old = await desk.client.access_token()
    desk.clock.now += 719
    assert await desk.client.access_token() == old
    desk.clock.now += 1
    desk.auth.requests.clear()
    tokens = await asyncio.gather(*(desk.client.access_token() for _ in range(20)))
    assert set(tokens) != {old}
    assert len(set(tokens)) == 1
    assert len(desk.auth.sent("Idempotency-Key")) == 1


async def test_each_refresh_token_has_a_key_of_its_own(desk: Desk) -> None:
    """The key is a new one after each refresh."""
    for _ in range(3):
        desk.clock.now += 900
        await desk.client.access_token()
        await desk.service.let_grace_end((await desk.session())["id"])
    assert len(set(desk.auth.sent("Idempotency-Key"))) == 3


async def test_a_lost_refresh_is_sent_again_with_the_same_key(desk: Desk) -> None:
    """If the answer to a refresh is lost, the next try has the same token and key, and the session goes on."""
    desk.clock.now += 900
    desk.auth.lose = 2
    await desk.client.access_token()
    keys = desk.auth.sent("Idempotency-Key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(desk.pauses) == 2
    assert (await desk.client.read("/posts?limit=1")).status == 200


async def test_after_an_outage_longer_than_the_grace_the_session_goes_on(desk: Desk) -> None:
    """If every try fails, the key stays with the token, and the next call gets the successor even after the grace."""
    desk.clock.now += 900
    desk.auth.lose = example.TRIES
    with pytest.raises(Unavailable):
        await desk.client.access_token()
    session = (await desk.session())["id"]
    await desk.service.let_grace_end(session)
    await desk.client.access_token()
    assert (await desk.session())["id"] == session
    assert len(set(desk.auth.sent("Idempotency-Key"))) == 1


async def test_while_auth_is_away_a_token_that_is_still_good_is_used(desk: Desk) -> None:
    """Before the token expires, a refresh that fails is tried once and doesn't hold up the call."""
    token = await desk.client.access_token()
    desk.clock.now += 800
    desk.auth.lose = 1
    assert await desk.client.access_token() == token
    assert desk.pauses == []
    assert await desk.client.access_token() != token


async def test_a_session_that_has_ended_is_said_to_have(desk: Desk) -> None:
    """If auth refuses the refresh token, the tokens are forgotten and SignedOut is raised."""
    await desk.service.database.execute("DELETE FROM sessions WHERE user_id = $1", desk.member.id)
    desk.clock.now += 900
    with pytest.raises(SignedOut):
        await desk.client.access_token()
    assert desk.client.tokens is None


async def test_a_log_out_during_a_refresh_wins(desk: Desk) -> None:
    """Tokens that arrive after the log-out are dropped."""
    desk.clock.now += 900
    desk.auth.lose = 1
    gate = asyncio.Event()
    desk.client._pause = lambda _: gate.wait()
    waiting = asyncio.create_task(desk.client.access_token())
    async with asyncio.timeout(10):
        while desk.auth.lose:
            await asyncio.sleep(0.01)
    await desk.client.log_out()
    gate.set()
    with pytest.raises(SignedOut):
        await waiting
    assert desk.client.tokens is None


async def test_a_lost_answer_to_a_post_makes_no_second_one(desk: Desk) -> None:
    """A post whose answer is lost is sent again with the same key: one post, and the first answer."""
    desk.posts.lose = 2
    made = await desk.client.create("/posts", {"title": "Once", "body": "Some text"})
    assert (made.status, made.doubtful) == (201, True)
    mine = (await desk.client.read("/posts?author=me")).body["items"]
    assert [post["id"] for post in mine] == [made.body["id"]]


async def test_a_post_of_unknown_outcome_can_be_found_out_with_its_key(desk: Desk) -> None:
    """After the last try, the error has the key, and creating again with it gives the post that was made."""
    desk.posts.lose = example.TRIES
    post = {"title": "Once", "body": "Some text"}
    with pytest.raises(OutcomeUnknown) as error:
        await desk.client.create("/posts", post)
    made = await desk.client.create("/posts", post, error.value.key)
    mine = (await desk.client.read("/posts?author=me")).body["items"]
    assert [post["id"] for post in mine] == [made.body["id"]]


async def test_a_lost_answer_to_a_change_is_not_taken_for_a_refusal(desk: Desk) -> None:
    """If the answer to a change is lost, the second try can't tell who made it; a deletion did what was wanted."""
    made = await desk.client.create("/posts", {"title": "One", "body": "Some text"})
    path = made.headers["Location"]
    desk.posts.lose = 1
    with pytest.raises(OutcomeUnknown):
        await desk.client.change(path, made.headers["ETag"], {"title": "Two"})
    now = await desk.client.read(path)
    assert now.body["title"] == "Two"
    desk.posts.lose = 1
    await desk.client.delete(path, now.headers["ETag"])
    with pytest.raises(Problem):
        await desk.client.read(path)


@pytest.mark.parametrize(
    ("answers", "raised", "least_pauses"),
    [
        ([(503, "busy", "7"), (200, None, None)], None, [7.0]),
        ([(429, "too_many_requests", "2")] * 2 + [(200, None, None)], None, [2.0, 2.0]),
        ([(503, "busy", "31")], Unavailable, []),
        ([(503, "busy", "0")] * 6, Unavailable, [0.5, 1, 2, 4, 8]),
        ([(503, "database_unavailable", "1")] * 6, OutcomeUnknown, [1, 1, 2, 4, 8]),
        ([(502, None, None), (503, None, "Wed, 21 Oct 2015 07:28:00 GMT"), (200, None, None)], None, [0.5, 1]),
        ([(500, "internal_error", None)], Problem, []),
    ],
)
async def test_pauses_grow_and_heed_retry_after(
    answers: Sequence[tuple[int, str | None, str | None]],
    raised: type[Exception] | None,
    least_pauses: Sequence[float],
) -> None:
    """Busy services are asked again after what Retry-After says, at growing intervals, and not for ever."""
    left, clock = list(answers), Clock()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/login":
            tokens = dict.fromkeys(("access_token", "account_token", "refresh_token"), "x")
            return web.json_response({**tokens, "expires_in": 900})
        status, code, retry_after = left.pop(0)
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        if code is None:
            return web.Response(status=status, headers=headers, text="<html>", content_type="text/html")
        return web.json_response({"code": code, "detail": "No"}, status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/{any}", answer)
    async with served(app) as url, ClientSession() as http:
        client = Client(http, url, url, clock=clock, pause=clock.pause)
        await client.log_in("ada@example.com", PASSWORD)
        if raised is None:
            assert (await client.create("/posts", {})).status == 200
        else:
            with pytest.raises(raised):
                await client.create("/posts", {})
    assert left == []
    assert len(clock.pauses) == len(least_pauses)
    for found, least in zip(clock.pauses, least_pauses, strict=True):
        assert least <= found <= least * 1.2


async def test_without_a_connection_nothing_was_done() -> None:
    """If nothing listens, a write raises Unavailable and not OutcomeUnknown."""
    async with ClientSession() as http:
        client = Client(http, "http://127.0.0.1:9", "http://127.0.0.1:9", pause=Clock().pause)
        with pytest.raises(Unavailable):
            await client.log_in("ada@example.com", PASSWORD)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_it_follows_no_redirect(status: int) -> None:
    """Passwords and tokens never go to another host, and a redirected write is no success."""
    elsewhere: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": f"{other}{request.path}"})

    async def note(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return web.json_response({})

    first, second = web.Application(), web.Application()
    first.router.add_route("*", "/{path:.*}", redirect)
    second.router.add_route("*", "/{path:.*}", note)
    async with served(second) as other, served(first) as base, ClientSession() as http:
        with pytest.raises(Problem) as refused:
            await Client(http, base, base).log_in("ada@example.com", PASSWORD)
    assert (refused.value.status, elsewhere) == (status, [])


async def test_a_path_can_not_change_the_host(desk: Desk) -> None:
    """A path must begin with a slash; `.evil.example` after the base URL would be another host."""
    desk.posts.requests.clear()
    for path in (".evil.example/x", "@evil.example/x", ""):
        with pytest.raises(ValueError, match="must begin with a slash"):
            await desk.client.read(path)
    assert desk.posts.requests == []


async def test_no_token_shows(desk: Desk) -> None:
    """A log line or a debugger that shows the client or its tokens shows no secret."""
    tokens = desk.client.tokens
    assert tokens is not None
    for secret in (tokens.access, tokens.account, tokens.refresh, tokens.refresh_key):
        assert secret not in repr(tokens) + repr(desk.client)
