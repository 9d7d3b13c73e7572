"""Registering and logging in."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession
from passlib.hash import bcrypt, bcrypt_sha256

from tests.api_client import PASSWORD, Pair, auth_app, new_email, served


async def test_register_gives_the_account_without_the_password(pair: Pair) -> None:
    """Registering is answered with 201 and the account, without the password."""
    email = new_email()
    reply = await pair.register(email, name="Zoë 🦉")
    assert reply.status == 201
    assert set(reply.body) == {"id", "email", "name", "role", "created_at", "updated_at"}
    assert (reply.body["email"], reply.body["name"], reply.body["role"]) == (email, "Zoë 🦉", "user")
    assert reply.body["created_at"].endswith("Z")


@pytest.mark.parametrize("second", ["{0}", "  {0}  ".strip(), "UPPER"])
async def test_one_account_per_address(pair: Pair, second: str) -> None:
    """An address can be registered only once, in upper or lower case."""
    email = new_email()
    assert (await pair.register(email)).status == 201
    reply = await pair.register(email.upper() if second == "UPPER" else second.format(email))
    assert (reply.status, reply.code) == (409, "email_taken")


async def test_other_domains_are_other_accounts(pair: Pair) -> None:
    """Domains that only look alike are different accounts; only case is ignored."""
    number = new_email().partition("@")[0]
    assert (await pair.register(f"{number}@faß.de")).status == 201
    assert (await pair.register(f"{number}@fass.de")).status == 201
    assert (await pair.register(f"{number.upper()}@FAß.de")).status == 409


@pytest.mark.parametrize(
    ("first", "second"), [("straße", "strasse"), ("\ufb01sh", "fish"), ("lon\u017f", "lons"), ("ὀδός", "ὀδόσ")]
)
async def test_letters_that_only_fold_alike_are_other_accounts(pair: Pair, first: str, second: str) -> None:
    """Case doesn't count before the @, but letters that only case folding makes equal do (RFC 5321 section 2.4)."""
    end = new_email()
    one, two = f"x{first}{end}", f"x{second}{end}"
    accounts = [await pair.register(one), await pair.register(two)]
    assert [account.status for account in accounts] == [201, 201]
    assert (await pair.register("X" + one[1:])).status == 409
    for email, account in zip((one, two), accounts, strict=True):
        tokens = await pair.login("X" + email[1:])
        me = await pair.call("GET", f"{pair.auth}/me", token=tokens.body["account_token"])
        assert me.body["id"] == account.body["id"]


@pytest.mark.slow
async def test_accounts_with_a_folded_key_get_the_new_one(database_url: str, keyring_file: Path) -> None:
    """An account whose stored key was case folded is found by its own address after the next start, and only by that.

    One whose address was registered once more keeps its key, and the service starts.
    """
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        account = await Pair(auth, "", http).register("Straße@example.com")
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE users SET email_key = 'strasse@example.com'")
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        tokens = await pair.login("straße@example.com")
        me = await pair.call("GET", f"{auth}/me", token=tokens.body["account_token"])
        assert me.body["id"] == account.body["id"]
        assert (await pair.login("strasse@example.com")).status == 401
        assert (await pair.register("strasse@example.com")).status == 201
    await connection.execute(
        "INSERT INTO users (id, email, email_key, name, password_hash)"
        " SELECT gen_random_uuid(), email, 'an old key', name, password_hash FROM users WHERE email ~ 'ß'"
    )
    async with served(auth_app(database_url, keyring_file)) as auth, ClientSession() as http:
        assert (await Pair(auth, "", http).login("straße@example.com")).status == 200
    assert await connection.fetchval("SELECT count(*) FROM users WHERE email_key = 'an old key'") == 1
    await connection.close()


async def test_of_parallel_registrations_one_wins(pair: Pair) -> None:
    """Of many simultaneous registrations of one address, in upper and lower case, one gets 201 and the others 409."""
    email = new_email()
    replies = await asyncio.gather(*(pair.register(email if n % 2 else email.upper()) for n in range(20)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 19
    assert (await pair.login(email)).status == 200


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"email": "no-address"}, "/email", "email_invalid"),
        ({"email": "a@localhost"}, "/email", "email_invalid"),
        ({"email": "x" * 250 + "@example.com"}, "/email", "too_long"),
        ({"email": 7}, "/email", "type_wrong"),
        ({"password": "fourteen chars"}, "/password", "password_too_short"),
        ({"password": "p" * 257}, "/password", "too_long"),
        ({"password": "nul \0 inside the passphrase"}, "/password", "text_refused"),
        ({"password": "lone \ud800 surrogate inside"}, "/password", "text_refused"),
        ({"name": ""}, "/name", "text_blank"),
        ({"name": " "}, "/name", "text_blank"),
        ({"name": "n" * 101}, "/name", "too_long"),
        ({"name": "two\nlines"}, "/name", "text_refused"),
        ({"name": "\u3164"}, "/name", "text_refused"),
        ({"name": "Ada\u202e"}, "/name", "text_refused"),
        ({"name": None}, "/name", "type_wrong"),
        ({"role": "admin"}, "/role", "field_unknown"),
    ],
)
async def test_a_wrong_field_is_named(pair: Pair, change: dict[str, object], pointer: str, code: str) -> None:
    """An invalid field gets 422 with its pointer and a code for the reason."""
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada", **change}
    reply = await pair.call("POST", f"{pair.auth}/register", body)
    assert (reply.status, reply.code) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]


async def test_all_wrong_fields_are_named_at_once(pair: Pair) -> None:
    """An error lists every invalid field, not just the first."""
    reply = await pair.call("POST", f"{pair.auth}/register", {"email": 1, "surplus": 2})
    assert {error["pointer"] for error in reply.body["errors"]} == {"/email", "/password", "/name", "/surplus"}


async def test_a_password_is_never_cut_off(pair: Pair) -> None:
    """Passwords that differ only after 72 bytes, or behind 64 four-byte characters, are different passwords."""
    for start in ("seven-cellos-" + "x" * 59, "🦉🐝🌵🎻🧦🪁🦔🍋🚲🧲🪴🐙" + "🦉" * 52):
        first, second = start + "A", start + "B"
        email = new_email()
        assert (await pair.register(email, first)).status == 201
        assert (await pair.login(email, second)).status == 401
        assert (await pair.login(email, first)).status == 200


async def test_a_password_is_the_same_in_either_unicode_form(pair: Pair) -> None:
    """Composed and decomposed characters make the same password."""
    email = new_email()
    await pair.register(email, "caf\u00e9 na\u00efve r\u00e9sum\u00e9 ca\u00f1on")
    assert (await pair.login(email, "cafe\u0301 nai\u0308ve re\u0301sume\u0301 can\u0303on")).status == 200


async def test_login_gives_a_bearer_token(pair: Pair) -> None:
    """A log-in answers as RFC 6749 section 5.1 says, ignores the case of the address, and is not cached."""
    email = new_email()
    await pair.register(email)
    reply = await pair.login(email.upper())
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.body["token_type"] == "Bearer"
    assert reply.body["expires_in"] == 900
    assert reply.body["scope"] == "posts:read posts:write"


async def test_wrong_password_and_unknown_address_are_answered_alike(pair: Pair) -> None:
    """A wrong password, an unknown address and an invalid address get the same answer, except for the request id."""
    email = new_email()
    await pair.register(email)
    replies = [
        await pair.login(email, "a wrong passphrase"),
        await pair.login(new_email(), "a wrong passphrase"),
        await pair.login("no-address", "a wrong passphrase"),
    ]
    for reply in replies:
        assert (reply.status, reply.code) == (401, "credentials_invalid")
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="auth"'
        del reply.body["request_id"]
    assert replies[0].body == replies[1].body == replies[2].body


@pytest.mark.parametrize("old", ["plain bcrypt", "cheaper"])
async def test_an_old_hash_verifies_and_is_replaced(old: str, database_url: str, keyring_file: Path) -> None:
    """A plain bcrypt hash, or one of another cost, still lets its owner log in and is replaced by a current one."""
    scheme: Any = bcrypt if old == "plain bcrypt" else bcrypt_sha256
    stored = scheme.using(rounds=4).hash(PASSWORD)
    async with served(auth_app(database_url, keyring_file, bcrypt_cost=5)) as auth, ClientSession() as http:
        pair = Pair(auth, "", http)
        email = new_email()
        await pair.register(email)
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE users SET password_hash = $1", stored)
        assert (await pair.login(email, "a wrong passphrase")).status == 401
        assert await connection.fetchval("SELECT password_hash FROM users") == stored
        assert (await pair.login(email)).status == 200
        replaced = await connection.fetchval("SELECT password_hash FROM users")
        assert replaced.startswith("$bcrypt-sha256$v=2,t=2b,r=5$")
        assert (await pair.login(email)).status == 200
        assert await connection.fetchval("SELECT password_hash FROM users") == replaced
        await connection.close()
