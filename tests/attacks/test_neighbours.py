"""A resource service that is taken over, with its key file and all its traffic, can do nothing at auth."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from auth_service.routes import ROUTES
from dev.service_process import account_keyring
from shared.base64url import decode
from shared.errors import StartupError
from shared.http.routes import PUBLIC
from shared.tokens.keyring import Keyring
from tests.api_client import Pair, auth_app, served
from tests.attacks import forge
from tests.attacks.forge import KEYRING, NOW, OTHER_KEYRING
from tests.attacks.table import Attack, table
from tests.auth_service.alone import Auth, Member, alone, says
from tests.postgres import Server

KEY_UNKNOWN = (401, "token_key_unknown")
GUARDED = [route for route in ROUTES if route.access != PUBLIC]
BEFORE_THE_KEY = {"token_too_large", "token_malformed", "token_header_refused", "token_type_wrong", "token_key_unknown"}
"""What checks 1 to 6 say."""


@pytest.fixture
async def auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a database of the test's own."""
    async with alone(database_url, keyring_file) as auth:
        yield auth


def minted(keyring: Path, member: Member, **changes: Any) -> str:
    """A token for this member's session, signed with the shared key: all that a resource service could have."""
    key, now = json.loads(keyring.read_text())["keys"][0], int(time.time())
    claims = {
        **forge.CLAIMS,
        "aud": ["auth", "posts"],
        "sub": str(member.id),
        "sid": member.tokens.claims["sid"],
        "scope": "posts:read posts:write posts:moderate users:admin",
        "auth_time": now,
        "iat": now,
        "exp": now + 900,
        **changes,
    }
    return forge.token({**forge.HEADER, "kid": key["kid"]}, claims, secret=decode(key["k"]))


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
async def test_an_admins_access_token_opens_nothing_at_auth(auth: Auth, route: Any) -> None:
    """Replaying the token that an admin sent to a resource service is refused on every route of auth."""
    admin = await auth.join(role="admin")
    reply = await auth.ask(route.method, route.path.replace("{id}", str(uuid4())), token=admin.tokens.access)
    assert says(reply) == KEY_UNKNOWN


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
async def test_the_shared_key_signs_nothing_for_auth(auth: Auth, keyring_file: Path, route: Any) -> None:
    """A token minted with the shared key for an admin's live session is refused on every route of auth."""
    admin = await auth.join(role="admin")
    token = minted(keyring_file, admin)
    reply = await auth.ask(route.method, route.path.replace("{id}", str(uuid4())), token=token)
    assert says(reply) == KEY_UNKNOWN


async def test_nobody_becomes_an_admin_with_the_shared_key(auth: Auth, keyring_file: Path) -> None:
    """Neither a minted token nor one that claims the account key's id reads or changes a user."""
    admin, mallory = await auth.join(role="admin"), await auth.join()
    kid = json.loads(account_keyring(keyring_file).read_text())["keys"][0]["kid"]
    shared = json.loads(keyring_file.read_text())["keys"][0]
    claims = {**forge.CLAIMS, "aud": ["auth"], "sub": str(admin.id), "sid": admin.tokens.claims["sid"]}
    claims |= {"scope": "users:admin", "iat": int(time.time()), "exp": int(time.time()) + 900}
    disguised = forge.token({**forge.HEADER, "kid": kid}, claims, secret=decode(shared["k"]))
    for token, refusal in ((minted(keyring_file, admin), KEY_UNKNOWN), (disguised, (401, "token_signature_invalid"))):
        assert says(await auth.ask("GET", "/users", token=token)) == refusal
        assert says(await auth.ask("PATCH", f"/users/{mallory.id}", {"role": "admin"}, token)) == refusal
    assert await auth.database.fetchval("SELECT role FROM users WHERE id = $1", mallory.id) == "user"
    assert [event["event"] for event in await auth.events_of(mallory.id)] == ["registered", "logged_in"]


async def test_an_account_token_is_for_auth_alone(pair: Pair) -> None:
    """A resource service refuses an account token that someone sends there by mistake."""
    user = await pair.sign_up()
    assert says(await pair.call("GET", f"{pair.posts}/posts", token=user.account_token)) == KEY_UNKNOWN


@pytest.fixture(scope="module")
async def table_target(database_server: Server) -> AsyncIterator[Pair]:
    """Auth, at the time of the attack table, with the table's key as the shared one."""
    database = await database_server.create_database()
    keyrings: dict[str, Any] = {"jwt_keyring": KEYRING, "account_keyring": OTHER_KEYRING}
    app = auth_app(database, None, clock=lambda: NOW, **keyrings)
    async with served(app) as auth, ClientSession() as http:
        yield Pair(auth, "", http)
    await database_server.drop_database(database)


async def test_the_whole_attack_table_signed_with_the_shared_key(table_target: Pair) -> None:
    """Of the whole attack table, its valid tokens included, auth believes nothing that the shared key signed."""
    tried = 0
    for attack in sendable():
        reply = await table_target.call("GET", f"{table_target.auth}/me", token=attack.token)
        assert reply.status == 401, attack.name
        assert reply.code in BEFORE_THE_KEY, (attack.name, reply.code)
        tried += 1
    assert tried > 200


def sendable() -> list[Attack]:
    """The rows that a client library can put into a header."""
    return [attack for attack in table() if attack.token.isascii() and attack.token.isprintable()]


def test_the_two_keyrings_never_share_a_key() -> None:
    """Auth doesn't start with a key that is both shared and its own."""
    both = Keyring(text=KEYRING), Keyring(text=KEYRING)
    with pytest.raises(StartupError, match="two keyrings"):
        both[0].keep_apart(both[1])


@pytest.mark.parametrize("changed", [0, 1], ids=["account", "shared"])
async def test_a_changed_file_can_not_bring_the_other_ones_key(tmp_path: Path, changed: int) -> None:
    """A key file that gains a key of the other keyring is not taken, whichever of the two it is."""
    files, now = (tmp_path / "account.json", tmp_path / "shared.json"), [0.0]
    for file, text in zip(files, (KEYRING, OTHER_KEYRING), strict=True):
        file.write_text(text)
    account, shared = (Keyring(file=file, clock=lambda: now[0]) for file in files)
    account.keep_apart(shared)
    ring = (account, shared)[changed]
    before = ring.current
    merged = {"keys": [*json.loads(KEYRING)["keys"], *json.loads(OTHER_KEYRING)["keys"]]}
    files[changed].write_text(json.dumps(merged))
    now[0] += 10
    assert not await ring.recheck(before)
    assert "two keyrings" in str(ring.fault)
