"""What a session is good for, the list of sessions, and every way to log out."""

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
    """GET /me returns the account that the token belongs to."""
    user = await pair.sign_up("Grace")
    reply = await pair.call("GET", f"{pair.auth}/me", token=user.account_token)
    assert reply.status == 200
    assert (reply.body["id"], reply.body["email"], reply.body["name"]) == (user.id, user.email, "Grace")


async def test_auth_believes_its_rows_and_not_the_token(database_url: str, keyring_file: Path) -> None:
    """Auth's own routes refuse a token once its session is gone or its user is disabled or deleted."""
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


async def test_a_disabled_account_is_answered_like_a_wrong_password(database_url: str, keyring_file: Path) -> None:
    """A disabled account can't log in, and the answer doesn't say why."""
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        user = await pair.sign_up()
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE users SET disabled_at = now()")
        await connection.close()
        right, wrong = await pair.login(user.email), await pair.login(user.email, "a wrong passphrase")
        assert (right.status, right.code) == (401, "credentials_invalid")
        assert right.body | {"request_id": ""} == wrong.body | {"request_id": ""}


@pytest.mark.slow
async def test_the_oldest_session_gives_way(database_url: str, keyring_file: Path) -> None:
    """A user has at most 50 sessions; one more log-in ends the oldest session and no other."""
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        email = new_email()
        await pair.register(email)
        tokens = [(await pair.login(email)).body["account_token"] for _ in range(51)]
        statuses = [(await pair.call("GET", f"{auth}/me", token=token)).status for token in tokens]
        assert statuses == [401] + [200] * 50


async def test_log_ins_at_once_do_not_pass_the_limit(own_auth: Auth) -> None:
    """However many log-ins arrive at once, a user has at most 50 sessions, and the new ones are among them."""
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


@pytest.mark.slow
async def test_the_session_that_gives_way_is_the_one_unused_longest(own_auth: Auth) -> None:
    """The session that was not used for the longest time is ended; an expired one goes first."""
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
async def test_no_session_is_opened_if_the_user_has_changed(auth: Auth, statement: str) -> None:
    """If the user is disabled, deleted or given a new password after the password check, no session is opened."""
    member = await auth.join()
    user, password_hash = await auth.app[ACCOUNTS].authenticate(member.email, PASSWORD, CLIENT)
    await auth.database.execute(statement, member.id)
    before = await auth.sessions_of(member.id)
    with pytest.raises(CredentialsInvalid):
        await auth.app[SESSIONS].open(user, password_hash, CLIENT, time.time())
    assert await auth.sessions_of(member.id) == before
    assert [event["event"] for event in await auth.events_of(member.id)] == ["registered", "logged_in"]


async def test_log_ins_at_once_replace_an_outdated_hash_and_all_succeed(own_auth: Auth) -> None:
    """When several log-ins find an outdated hash at once, one of them replaces it and all succeed."""
    member = await own_auth.join()
    outdated = bcrypt.using(rounds=4).hash(PASSWORD)
    await own_auth.database.execute("UPDATE users SET password_hash = $1", outdated)
    opened = await asyncio.gather(*(own_auth.sign_in(member.email) for _ in range(4)))
    assert await own_auth.database.fetchval("SELECT password_hash FROM users") != outdated
    assert await own_auth.sessions_of(member.id) == {tokens.session for tokens in (*opened, member.tokens)}


async def test_the_list_shows_every_session_and_marks_the_current_one(auth: Auth) -> None:
    """GET /sessions gives the device, address and times of each session, last used first, and marks the current one."""
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
    """A device label is cut at 200 characters, and unprintable characters become question marks."""
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
    """X-Forwarded-For is ignored without TRUSTED_PROXIES; with it, the address that many hops from the right counts."""
    async with alone(database_url, keyring_file, trusted_proxies=proxies) as auth:
        email = new_email()
        await auth.register(email)
        tokens = await auth.sign_in(email, **{"X-Forwarded-For": forwarded})
        listed = await auth.ask("GET", "/sessions", token=tokens.account)
        assert [item["address"] for item in listed.body["items"]] == [address]


@pytest.mark.parametrize("how", ["current", "predecessor", "bearer", "old", "swept"])
async def test_a_log_out_ends_this_session_and_no_other(auth: Auth, how: str) -> None:
    """A log-out by access token or refresh token, even a replaced one, ends that session at once.

    A token whose use at /refresh would be a reuse is recorded as reused, since its sender is unknown.
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
    """Logging out with an unknown or malformed refresh token succeeds, as there is nothing to end."""
    assert (await auth.ask("POST", "/logout", {"refresh_token": token})).status == 204


async def test_a_log_out_says_what_it_needs(auth: Auth) -> None:
    """A log-out without a token, or with an invalid bearer token, ends nothing and says what is wrong."""
    member = await auth.join()
    refresh = {"refresh_token": member.tokens.refresh}
    assert says(await auth.ask("POST", "/logout")) == (415, "media_type_unsupported")
    assert says(await auth.ask("POST", "/logout", {})) == (422, "validation_failed")
    bad = await auth.ask("POST", "/logout", None, member.tokens.account[:-4] + "AAAA")
    assert says(bad) == (401, "token_signature_invalid")
    assert (await auth.me(member.tokens.account)).status == 200
    assert (await auth.ask("POST", "/logout", refresh, member.tokens.account[:-4] + "AAAA")).status == 204
    assert says(await auth.me(member.tokens.account)) == ENDED
    other = await auth.join()
    headers, body = {"Authorization": "Bearer "}, {"refresh_token": other.tokens.refresh}
    assert (await auth.ask("POST", "/logout", body, headers=headers)).status == 204
    assert says(await auth.me(other.tokens.account)) == ENDED


async def test_an_expired_token_does_not_keep_a_refresh_token_alive(database_url: str, keyring_file: Path) -> None:
    """A log-out with an expired bearer token gets 401, and the session can still be refreshed."""
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
    """With a bearer token and a refresh token in the body, both sessions end; with an invalid body, neither does."""
    member = await auth.join()
    other = await auth.sign_in(member.email)
    third = await auth.sign_in(member.email)
    wrong = await auth.ask("POST", "/logout", {"refresh": other.refresh}, member.tokens.account)
    assert (wrong.status, wrong.code) == (422, "validation_failed")
    assert len(await auth.sessions_of(member.id)) == 3
    reply = await auth.ask("POST", "/logout", {"refresh_token": other.refresh}, member.tokens.account)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == {third.session}


async def test_a_log_out_ignores_another_authorization_scheme(auth: Auth) -> None:
    """A log-out with a refresh token ignores an Authorization header of another scheme."""
    member = await auth.join()
    headers = {"Authorization": "Basic cHJveHk6cHJveHk="}
    reply = await auth.ask("POST", "/logout", {"refresh_token": member.tokens.refresh}, headers=headers)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == set()


async def test_an_empty_body_in_chunks_is_a_body(pair: Pair) -> None:
    """A log-out that announces a body and sends an empty one is refused, however its packets arrive."""
    user = await pair.sign_up()
    request = (
        f"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {user.account_token}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    status, _, _ = await exchange(pair.auth, request.encode())
    assert status == b"HTTP/1.1 415 Unsupported Media Type"
    assert (await pair.call("GET", f"{pair.auth}/me", token=user.account_token)).status == 200


async def test_after_a_log_out_only_auth_refuses_the_access_token(pair: Pair) -> None:
    """After a log-out, posts accepts the access token until it expires, because only auth checks the session."""
    user = await pair.sign_up()
    assert (await pair.call("POST", f"{pair.auth}/logout", token=user.account_token)).status == 204
    assert says(await pair.call("GET", f"{pair.auth}/me", token=user.account_token)) == ENDED
    assert (await pair.call("GET", f"{pair.posts}/posts", token=user.token)).status == 200


async def test_one_session_is_ended_from_another(auth: Auth) -> None:
    """DELETE /sessions/{id} ends that session at once; the second time it is 404."""
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


async def test_other_peoples_sessions_are_not_found(auth: Auth) -> None:
    """Another user's session, an unknown id and a malformed id all get 404, and nothing ends."""
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
    """DELETE /sessions ends all of the user's sessions at once, including the current one."""
    member, other = await auth.join(), await auth.join()
    opened = [member.tokens, *[await auth.sign_in(member.email) for _ in range(3)]]
    assert (await auth.ask("DELETE", "/sessions", token=opened[2].account)).status == 204
    for tokens in opened:
        assert says(await auth.me(tokens.account)) == ENDED
        assert says(await auth.refresh(tokens.refresh)) == INVALID
    assert says(await auth.ask("DELETE", "/sessions", token=opened[2].account)) == ENDED
    assert (await auth.me(other.tokens.account)).status == 200
    assert (await auth.me((await auth.sign_in(member.email)).account)).status == 200


@pytest.mark.slow
async def test_signing_out_everywhere_while_everything_refreshes(database_url: str, keyring_file: Path) -> None:
    """A refresh in progress doesn't bring back a session that is ended in the meantime."""
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
