"""What a session is good for."""

from pathlib import Path

import asyncpg
from aiohttp import ClientSession

from tests.pair import Pair, auth_app, new_email, served


async def test_me_is_the_account_of_the_token(pair: Pair) -> None:
    """GET /me gives the account that the token belongs to."""
    user = await pair.sign_up("Grace")
    reply = await pair.call("GET", f"{pair.auth}/me", token=user.token)
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
            assert (await pair.call("GET", f"{auth}/me", token=user.token)).status == 200
            await connection.execute(statement)
            reply = await pair.call("GET", f"{auth}/me", token=user.token)
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
        tokens = [(await pair.login(email)).body["access_token"] for _ in range(51)]
        statuses = [(await pair.call("GET", f"{auth}/me", token=token)).status for token in tokens]
        assert statuses == [401] + [200] * 50
