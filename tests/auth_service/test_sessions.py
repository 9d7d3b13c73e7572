"""What a session is good for, where one is signed in, and every way to sign out."""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import ClientSession
from passlib.hash import bcrypt

from auth_service.errors import CredentialsInvalid
from auth_service.handlers import ACCOUNTS, SESSIONS
from auth_service.model import Client
from auth_service.refresh_tokens import RefreshToken
from tests.api_client import PASSWORD, Pair, auth_app, new_email, served
from tests.auth_service.alone import Auth, alone, claims_of, says
from tests.raw_http import exchange

CLIENT = Client("10.0.0.1", ["10.0.0.1"], "a test")
ENDED = (401, "session_ended")
INVALID = (401, "refresh_token_invalid")


async def test_me_is_the_account_of_the_token(pair: Pair) -> None:
    """GET /me gives the account that the token belongs to."""
    user = await pair.sign_up("Grace")
    reply = await pair.call("GET", f"{pair.auth}/me", token=user.account_token)
    assert reply.status == 200
    assert (reply.body["id"], reply.body["email"], reply.body["name"]) == (user.id, user.email, "Grace")


async def test_auth_believes_its_rows_and_not_the_token(database_url: str, keyring_file: Path) -> None:
    """At auth's own routes a token is worth nothing once its session is gone, its user disabled or deleted."""
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        connection = await asyncpg.connect(database_url)
        for statement in (
            "DELETE FROM sessions",
            "UPDATE users SET disabled_at = now()",
            "DELETE FROM users",
        ):
            user = await pair.sign_up()
            assert (await pair.call("GET", f"{auth}/me", token=user.account_token)).status == 200
            await connection.execute(statement)
            reply = await pair.call("GET", f"{auth}/me", token=user.account_token)
            assert (reply.status, reply.code) == (401, "session_ended")
            assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
        await connection.close()


async def test_a_disabled_user_is_answered_as_a_wrong_password(database_url: str, keyring_file: Path) -> None:
    """A disabled account can't sign in, and the answer does not say why."""
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        user = await pair.sign_up()
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE users SET disabled_at = now()")
        await connection.close()
        right, wrong = await pair.login(user.email), await pair.login(user.email, "a wrong passphrase")
        assert (right.status, right.code) == (401, "credentials_invalid")
        assert right.body | {"request_id": ""} == wrong.body | {"request_id": ""}


async def test_the_oldest_session_gives_way(database_url: str, keyring_file: Path) -> None:
    """A user has at most 50 sessions; the log-in after that ends the oldest and no other."""
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        email = new_email()
        await pair.register(email)
        tokens = [(await pair.login(email)).body["account_token"] for _ in range(51)]
        statuses = [(await pair.call("GET", f"{auth}/me", token=token)).status for token in tokens]
        assert statuses == [401] + [200] * 50


async def test_log_ins_at_once_do_not_pass_the_limit(own_auth: Auth) -> None:
    """However many log-ins come at once, a user has at most 50 sessions, and the new ones are among them."""
    member = await own_auth.join()
    user, password_hash = await own_auth.app[ACCOUNTS].authenticate(member.email, PASSWORD, CLIENT)
    sessions = own_auth.app[SESSIONS]
    for _ in range(48):
        await sessions.open(user, password_hash, CLIENT, time.time())
    assert len(await own_auth.sessions_of(member.id)) == 49
    for _ in range(5):
        opening = (sessions.open(user, password_hash, CLIENT, time.time()) for _ in range(10))
        opened = await asyncio.gather(*opening)
        left = await own_auth.sessions_of(member.id)
        assert len(left) == 50
        assert {UUID(claims_of(tokens.signed.account)["sid"]) for tokens in opened} < left


async def test_the_session_that_gives_way_is_the_one_unused_longest(own_auth: Auth) -> None:
    """A session that is in use is kept for a later one that nobody used since; one that is over goes first."""
    member = await own_auth.join()
    opened = [member.tokens, *[await own_auth.sign_in(member.email) for _ in range(49)]]
    await own_auth.refresh(opened[0].refresh)
    await own_auth.sign_in(member.email)
    left = await own_auth.sessions_of(member.id)
    assert opened[0].session in left
    assert opened[1].session not in left
    await own_auth.refresh(opened[20].refresh)
    await own_auth.expire(opened[20].session)
    await own_auth.sign_in(member.email)
    assert left - await own_auth.sessions_of(member.id) == {opened[20].session}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET disabled_at = now() WHERE id = $1",
        "DELETE FROM users WHERE id = $1",
        "UPDATE users SET password_hash = 'another' WHERE id = $1",
    ],
)
async def test_no_session_for_who_may_no_longer_sign_in(auth: Auth, statement: str) -> None:
    """Disabled, deleted or given another password between the check of the old one and the session: there is none."""
    member = await auth.join()
    user, password_hash = await auth.app[ACCOUNTS].authenticate(member.email, PASSWORD, CLIENT)
    await auth.database.execute(statement, member.id)
    before = await auth.sessions_of(member.id)
    with pytest.raises(CredentialsInvalid):
        await auth.app[SESSIONS].open(user, password_hash, CLIENT, time.time())
    assert await auth.sessions_of(member.id) == before
    assert [event["event"] for event in await auth.events_of(member.id)] == ["registered", "logged_in"]


async def test_log_ins_at_once_replace_an_outdated_hash_and_all_succeed(own_auth: Auth) -> None:
    """Of several log-ins that find a hash of an old kind one replaces it, and the others are let in by the new one."""
    member = await own_auth.join()
    outdated = bcrypt.using(rounds=4).hash(PASSWORD)
    await own_auth.database.execute("UPDATE users SET password_hash = $1", outdated)
    opened = await asyncio.gather(*(own_auth.sign_in(member.email) for _ in range(4)))
    assert await own_auth.database.fetchval("SELECT password_hash FROM users") != outdated
    assert await own_auth.sessions_of(member.id) == {tokens.session for tokens in (*opened, member.tokens)}


async def test_the_list_shows_every_place_and_marks_this_one(auth: Auth) -> None:
    """GET /sessions has device, address and times of each session, who was used last first, and `current` on one."""
    member = await auth.join()
    phone = await auth.sign_in(member.email, **{"User-Agent": "Phone/1.0", "X-Forwarded-For": "192.0.2.7"})
    laptop = await auth.sign_in(member.email, **{"User-Agent": "Läptop 🦉", "X-Forwarded-For": "2001:db8::7"})
    over = await auth.sign_in(member.email)
    await auth.expire(over.session)
    stranger = await auth.join()
    for asks in (phone, laptop):
        reply = await auth.ask("GET", "/sessions", token=asks.account)
        assert reply.status == 200
        items = reply.body["items"]
        assert [item["id"] for item in items] == [str(t.session) for t in (laptop, phone, member.tokens)]
        assert [item["id"] for item in items if item["current"]] == [str(asks.session)]
        assert [(item["device"], item["address"]) for item in items[:2]] == [
            ("Läptop 🦉", "2001:db8::7"),
            ("Phone/1.0", "192.0.2.7"),
        ]
        for item in items:
            assert set(item) == {"id", "device", "address", "created_at", "last_used_at", "expires_at", "current"}
            created, last_used, expires = (
                datetime.fromisoformat(item[name]) for name in ("created_at", "last_used_at", "expires_at")
            )
            assert created <= last_used < expires
        assert str(stranger.tokens.session) not in {item["id"] for item in items}
    assert says(await auth.ask("GET", "/sessions", token=over.account)) == ENDED
    assert says(await auth.ask("GET", "/sessions")) == (401, "token_missing")


@pytest.mark.parametrize(
    ("agent", "device"),
    [(None, ""), ("x" * 300, "x" * 200), ("tab\tinside", "tab?inside"), ("\u202egnp.exe", "?gnp.exe")],
)
async def test_a_device_is_one_short_plain_line(auth: Auth, agent: str | None, device: str) -> None:
    """The label is cut at 200 characters, and what does not print is a question mark."""
    member = await auth.join()
    headers = {} if agent is None else {"User-Agent": agent}
    async with ClientSession(skip_auto_headers=["User-Agent"]) as http:
        reply = await Pair(auth.auth, "", http).call(
            "POST", f"{auth.auth}/login", {"email": member.email, "password": PASSWORD}, headers=headers
        )
    assert reply.status == 200
    listed = await auth.ask("GET", "/sessions", token=reply.body["account_token"])
    assert listed.body["items"][0]["device"] == device


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "192.0.2.1", "127.0.0.1"),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "192.0.2.66, 192.0.2.1", "192.0.2.1"),
        (2, "192.0.2.66, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "192.0.2.1", "127.0.0.1"),
    ],
)
async def test_a_forwarded_address_is_believed_as_far_as_proxies_are_trusted(
    database_url: str, keyring_file: Path, proxies: int, forwarded: str, address: str
) -> None:
    """Without TRUSTED_PROXIES the header is not read; with it, that many hops from the right, and none further left."""
    async with alone(database_url, keyring_file, trusted_proxies=proxies) as auth:
        email = new_email()
        await auth.register(email)
        tokens = await auth.sign_in(email, **{"X-Forwarded-For": forwarded})
        listed = await auth.ask("GET", "/sessions", token=tokens.account)
        assert [item["address"] for item in listed.body["items"]] == [address]


@pytest.mark.parametrize("how", ["current", "predecessor", "bearer", "old", "swept"])
async def test_a_log_out_ends_this_session_and_no_other(auth: Auth, how: str) -> None:
    """By refresh token, also one that was replaced, or by access token: 204, and the session is over at once.

    What would be a reuse at /refresh is recorded as one: who came with it is not known.
    """
    member = await auth.join()
    other = await auth.sign_in(member.email)
    first = member.tokens
    second = await auth.renewed(first.refresh)
    await auth.keep_grace(first.session)
    if how in ("old", "swept"):
        await auth.let_grace_end(first.session)
    if how == "swept":
        await auth.database.execute(
            "UPDATE sessions SET nonce = NULL, previous_hash = NULL WHERE id = $1", first.session
        )
    for _ in range(2):
        if how == "bearer":
            reply = await auth.ask("POST", "/logout", token=first.account)
        else:
            token = second.refresh if how == "current" else first.refresh
            reply = await auth.ask("POST", "/logout", {"refresh_token": token})
        assert (reply.status, reply.body) == (204, None)
        for tokens in (first, second):
            assert says(await auth.me(tokens.account)) == ENDED
            assert says(await auth.refresh(tokens.refresh)) == INVALID
        assert await auth.sessions_of(member.id) == {other.session}
    assert (await auth.me(other.account)).status == 200
    *_, event = await auth.events_of(member.id)
    assert event["session_id"] == first.session
    reused = how in ("old", "swept")
    wanted = ("refresh_token_reused", None) if reused else ("logged_out", member.id)
    assert (event["event"], event["actor_id"]) == wanted
    assert len(await auth.events_of(member.id)) == 4, "registered, two log-ins, and this"


@pytest.mark.parametrize("token", ["nonsense", "A" * 64, "ä", "\0", pytest.param(str(RefreshToken.new()), id="new")])
async def test_a_log_out_of_nothing_is_fine(auth: Auth, token: str) -> None:
    """Whoever has no session is logged out already."""
    assert (await auth.ask("POST", "/logout", {"refresh_token": token})).status == 204


async def test_a_log_out_says_what_it_needs(auth: Auth) -> None:
    """Without a token of either kind, or with a bearer token that does not count, nothing is ended and it is said."""
    member = await auth.join()
    refresh = {"refresh_token": member.tokens.refresh}
    assert says(await auth.ask("POST", "/logout")) == (415, "media_type_unsupported")
    assert says(await auth.ask("POST", "/logout", {})) == (422, "validation_failed")
    bad = await auth.ask("POST", "/logout", None, member.tokens.account[:-4] + "AAAA")
    assert says(bad) == (401, "token_signature_invalid")
    assert (await auth.me(member.tokens.account)).status == 200
    assert (await auth.ask("POST", "/logout", refresh, member.tokens.account[:-4] + "AAAA")).status == 204
    assert says(await auth.me(member.tokens.account)) == ENDED


async def test_an_expired_token_does_not_keep_a_refresh_token_alive(database_url: str, keyring_file: Path) -> None:
    """A log-out with an expired account token ends the session of the refresh token sent with it; alone it gets 401."""
    now = [time.time()]
    async with served(auth_app(database_url, keyring_file, lambda: now[0])) as base, ClientSession() as http:
        pair = Pair(base, "", http)
        user = await pair.sign_up()
        opened = (await pair.login(user.email)).body
        now[0] += 900 + 10
        refresh, token = {"refresh_token": opened["refresh_token"]}, opened["account_token"]
        assert says(await pair.call("POST", f"{base}/logout", token=token)) == (401, "token_expired")
        assert (await pair.call("POST", f"{base}/refresh", refresh)).status == 200
        assert (await pair.call("POST", f"{base}/logout", refresh, token)).status == 204
        assert says(await pair.call("POST", f"{base}/refresh", refresh)) == INVALID


async def test_both_tokens_of_a_log_out_count(auth: Auth) -> None:
    """With a bearer token and a refresh token in the body both sessions end, and a wrong body ends none."""
    member = await auth.join()
    other = await auth.sign_in(member.email)
    third = await auth.sign_in(member.email)
    wrong = await auth.ask("POST", "/logout", {"refresh": other.refresh}, member.tokens.account)
    assert (wrong.status, wrong.code) == (422, "validation_failed")
    assert len(await auth.sessions_of(member.id)) == 3
    reply = await auth.ask("POST", "/logout", {"refresh_token": other.refresh}, member.tokens.account)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == {third.session}


async def test_credentials_for_somebody_else_are_no_token(auth: Auth) -> None:
    """At a log-out with a refresh token, Authorization of another scheme does not matter."""
    member = await auth.join()
    headers = {"Authorization": "Basic cHJveHk6cHJveHk="}
    reply = await auth.ask("POST", "/logout", {"refresh_token": member.tokens.refresh}, headers=headers)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == set()


async def test_an_empty_body_in_chunks_is_a_body(pair: Pair) -> None:
    """A log-out that announces a body without sending one is refused, however its packets arrive."""
    user = await pair.sign_up()
    request = (
        f"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {user.account_token}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    status, _, _ = await exchange(pair.auth, request.encode())
    assert status == b"HTTP/1.1 415 Unsupported Media Type"
    assert (await pair.call("GET", f"{pair.auth}/me", token=user.account_token)).status == 200


async def test_after_a_log_out_only_auth_asks_for_the_session(pair: Pair) -> None:
    """At the posts service an access token counts until it expires, also after the log-out: nobody is asked there."""
    user = await pair.sign_up()
    assert (await pair.call("POST", f"{pair.auth}/logout", token=user.account_token)).status == 204
    assert says(await pair.call("GET", f"{pair.auth}/me", token=user.account_token)) == ENDED
    assert (await pair.call("GET", f"{pair.posts}/posts", token=user.token)).status == 200


async def test_one_session_is_ended_from_another(auth: Auth) -> None:
    """DELETE /sessions/{id} ends that one at once, and the second time there is none."""
    member = await auth.join()
    lost, kept = await auth.sign_in(member.email), await auth.sign_in(member.email)
    path = f"/sessions/{lost.session}"
    assert (await auth.ask("DELETE", path, token=member.tokens.account)).status == 204
    assert says(await auth.me(lost.account)) == ENDED
    assert says(await auth.refresh(lost.refresh)) == INVALID
    assert says(await auth.ask("DELETE", path, token=member.tokens.account)) == (404, "not_found")
    assert await auth.sessions_of(member.id) == {member.tokens.session, kept.session}
    assert (await auth.ask("DELETE", f"/sessions/{kept.session}", token=kept.account)).status == 204
    assert says(await auth.me(kept.account)) == ENDED


async def test_other_peoples_sessions_are_not_there(auth: Auth) -> None:
    """Another user's session, one that never was, and an id that is none get the same 404, and nothing ends."""
    member, other = await auth.join(), await auth.join(role="admin")
    session = str(other.tokens.session)
    for path in (session, str(uuid4())):
        reply = await auth.ask("DELETE", f"/sessions/{path}", token=member.tokens.account)
        assert (reply.status, reply.body["detail"]) == (404, "You have no such session")
    own = str(member.tokens.session)
    for path in (own.upper(), own.replace("-", ""), f"%7B{own}%7D", f"urn:uuid:{own}", "x", "0", "%00", "%ff", "*"):
        reply = await auth.ask("DELETE", f"/sessions/{path}", token=member.tokens.account)
        assert says(reply) == (404, "not_found"), path
    assert (await auth.me(other.tokens.account)).status == 200
    assert (await auth.me(member.tokens.account)).status == 200


async def test_signing_out_everywhere_ends_all_of_the_user_and_none_of_others(auth: Auth) -> None:
    """DELETE /sessions ends every session of the user, this one too, at once."""
    member, other = await auth.join(), await auth.join()
    opened = [member.tokens, *[await auth.sign_in(member.email) for _ in range(3)]]
    assert (await auth.ask("DELETE", "/sessions", token=opened[2].account)).status == 204
    for tokens in opened:
        assert says(await auth.me(tokens.account)) == ENDED
        assert says(await auth.refresh(tokens.refresh)) == INVALID
    assert says(await auth.ask("DELETE", "/sessions", token=opened[2].account)) == ENDED
    assert (await auth.me(other.tokens.account)).status == 200
    assert (await auth.me((await auth.sign_in(member.email)).account)).status == 200


async def test_signing_out_everywhere_while_everything_refreshes(database_url: str, keyring_file: Path) -> None:
    """A refresh that is under way does not bring back a session that is ended meanwhile."""
    async with alone(database_url, keyring_file, database_connections=20) as auth:
        member = await auth.join()
        for _ in range(5):
            keeper = await auth.sign_in(member.email)
            opened = [await auth.sign_in(member.email) for _ in range(4)]
            *replies, ended = await asyncio.gather(
                *(auth.refresh(tokens.refresh) for tokens in opened for _ in range(4)),
                auth.ask("DELETE", "/sessions", token=keeper.account),
            )
            assert ended.status == 204
            for reply in replies:
                assert reply.status == 200 or says(reply) == INVALID
            assert await auth.sessions_of(member.id) == set()
