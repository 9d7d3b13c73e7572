"""What asks for a password that was entered recently (RFC 9470), and how to confirm it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiohttp import ClientSession

from auth_service.sessions import MAX_AGE_SECONDS
from tests.api_client import PASSWORD, Pair, Reply, auth_app, new_email, served
from tests.auth_service.alone import Auth, Tokens, claims_of, says, tokens_of

START = 1_800_000_000.0
TOO_OLD = (401, "insufficient_user_authentication")


@dataclass
class Aging:
    """A client of a service whose clock the test moves."""

    pair: Pair
    now: float = START

    async def ask(self, method: str, path: str, json: object = None, token: str | None = None) -> Reply:
        """Send one request."""
        return await self.pair.call(method, self.pair.auth + path, json, token)

    async def join(self) -> tuple[str, Tokens]:
        """Register somebody, and sign in; return the address and the tokens."""
        email = new_email()
        await self.pair.register(email)
        return email, tokens_of(await self.pair.login(email))

    async def aged(self, tokens: Tokens) -> Tokens:
        """Let the password be entered just too long ago, and refresh."""
        self.now += MAX_AGE_SECONDS + 1
        return tokens_of(await self.ask("POST", "/refresh", {"refresh_token": tokens.refresh}))


@pytest.fixture
async def aging(database_url: str, keyring_file: Path) -> AsyncIterator[Aging]:
    """A service on a clock of its own."""
    async with ClientSession() as http:
        aging = Aging(Pair("", "", http))
        async with served(auth_app(database_url, keyring_file, lambda: aging.now)) as base:
            aging.pair = Pair(base, "", http)
            yield aging


async def test_a_log_in_says_when_the_password_was_entered(aging: Aging) -> None:
    """The account token from a log-in has auth_time, and the access token has not."""
    _, tokens = await aging.join()
    assert tokens.account_claims["auth_time"] == START
    assert "auth_time" not in tokens.claims


async def test_a_refresh_is_no_proof_of_the_password(aging: Aging) -> None:
    """A stolen refresh token gives no recent password, even right after the owner has confirmed it."""
    _, tokens = await aging.join()
    confirmed = await aging.ask("POST", "/me/verify", {"password": PASSWORD}, tokens.account)
    assert confirmed.status == 200
    stolen = tokens_of(await aging.ask("POST", "/refresh", {"refresh_token": tokens.refresh}))
    assert "auth_time" not in stolen.account_claims
    assert says(await aging.ask("DELETE", "/sessions", token=stolen.account)) == TOO_OLD


async def test_signing_out_everywhere_asks_for_a_recent_password(aging: Aging) -> None:
    """Exactly MAX_AGE_SECONDS after the log-in it still works; a second later it gets RFC 9470's challenge."""
    _, tokens = await aging.join()
    aging.now += MAX_AGE_SECONDS + 1
    reply = await aging.ask("DELETE", "/sessions", token=tokens.account)
    assert says(reply) == TOO_OLD
    challenge = reply.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'max_age="{MAX_AGE_SECONDS}"' in challenge
    assert (await aging.ask("GET", "/me", token=tokens.account)).status == 200
    aging.now -= 1
    assert (await aging.ask("DELETE", "/sessions", token=tokens.account)).status == 204


async def test_a_confirmed_password_is_a_recent_one(aging: Aging) -> None:
    """POST /me/verify gives a token with which the same request works; a wrong password gives none."""
    email, tokens = await aging.join()
    later = await aging.aged(tokens)
    wrong = await aging.ask("POST", "/me/verify", {"password": PASSWORD + "!"}, later.account)
    assert says(wrong) == (403, "password_wrong")
    assert says(await aging.ask("DELETE", "/sessions", token=later.account)) == TOO_OLD
    reply = await aging.ask("POST", "/me/verify", {"password": PASSWORD}, later.account)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert set(reply.body) == {"access_token", "account_token", "token_type", "expires_in", "scope"}
    assert claims_of(reply.body["account_token"])["auth_time"] == int(aging.now)
    assert says(await aging.ask("DELETE", "/sessions", token=later.account)) == TOO_OLD
    assert (await aging.ask("DELETE", "/sessions", token=reply.body["account_token"])).status == 204
    assert (await aging.pair.login(email)).status == 200


async def test_roles_and_disabling_ask_for_a_recent_password(aging: Aging, database_url: str) -> None:
    """An admin whose password was entered too long ago changes nobody, and can still look."""
    email, tokens = await aging.join()
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE users SET role = 'admin' WHERE email = $1", email)
    await connection.close()
    later = await aging.aged(tokens)
    user = UUID(later.claims["sub"])
    assert (await aging.ask("GET", f"/users/{user}", token=later.account)).status == 200
    for change in ({"role": "user"}, {"disabled": True}):
        assert says(await aging.ask("PATCH", f"/users/{user}", change, later.account)) == TOO_OLD
    assert says(await aging.ask("DELETE", f"/users/{user}/sessions", token=later.account)) == TOO_OLD


async def test_a_new_password_counts_as_entered_now(aging: Aging) -> None:
    """POST /me/password answers with tokens that say so."""
    _, tokens = await aging.join()
    later = await aging.aged(tokens)
    body = {"current_password": PASSWORD, "new_password": PASSWORD + " again"}
    new = tokens_of(await aging.ask("POST", "/me/password", body, later.account))
    assert new.account_claims["auth_time"] == int(aging.now)


async def test_guesses_at_a_confirmation_are_slowed_down(auth: Auth) -> None:
    """A stolen account token is no way to guess the password faster than at a log-in."""
    member = await auth.join()
    headers = {"X-Forwarded-For": "10.99.0.1"}
    statuses = [
        (
            await auth.ask("POST", "/me/verify", {"password": f"guess {n}"}, member.tokens.account, headers=headers)
        ).status
        for n in range(7)
    ]
    assert statuses == [403] * 5 + [429] * 2


async def test_an_admin_ends_the_sessions_of_a_user(auth: Auth) -> None:
    """DELETE /users/{id}/sessions ends all of that user's sessions and nobody else's, and the audit names the admin."""
    admin, member, other = await auth.join(role="admin"), await auth.join(), await auth.join()
    second = await auth.sign_in(member.email)
    reply = await auth.ask("DELETE", f"/users/{member.id}/sessions", token=admin.tokens.account)
    assert reply.status == 204
    assert await auth.sessions_of(member.id) == set()
    for tokens in (member.tokens, second):
        assert says(await auth.refresh(tokens.refresh)) == (401, "refresh_token_invalid")
    assert (await auth.me(other.tokens.account)).status == 200
    events = [event for event in await auth.events_of(member.id) if event["event"] == "session_ended_by_admin"]
    assert {event["actor_id"] for event in events} == {admin.id}
    assert {event["session_id"] for event in events} == {member.tokens.session, second.session}
    assert (await auth.login(member.email)).status == 200
    denied = await auth.ask("DELETE", f"/users/{admin.id}/sessions", token=other.tokens.account)
    assert says(denied) == (403, "scope_missing")
    unknown = await auth.ask("DELETE", f"/users/{UUID(int=1)}/sessions", token=admin.tokens.account)
    assert says(unknown) == (404, "not_found")


@pytest.mark.slow
async def test_the_limit_of_sessions_leaves_an_event(own_auth: Auth) -> None:
    """The session that gives way to the 51st is recorded, and an expired one is not."""
    member = await own_auth.join()
    for _ in range(49):
        await own_auth.sign_in(member.email)
    await own_auth.sign_in(member.email)
    ended = [row for row in await own_auth.events_of(member.id) if row["event"] == "session_ended_by_limit"]
    assert [row["session_id"] for row in ended] == [member.tokens.session]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/me"), ("GET", "/sessions"), ("POST", "/login"), ("POST", "/register"), ("GET", "/users")],
)
async def test_no_cache_stores_what_belongs_to_one_user(auth: Auth, method: str, path: str) -> None:
    """Answers and errors about one user are no-store; public documents are not."""
    member = await auth.join()
    reply = await auth.ask(method, path, None if method == "GET" else {}, member.tokens.account)
    assert reply.headers["Cache-Control"] == "no-store"
    assert "no-store" not in (await auth.ask("GET", "/health/live")).headers.get("Cache-Control", "")
