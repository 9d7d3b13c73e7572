"""Accounts as admins manage them: listing them, changing roles, disabling, and protecting the last admin."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth_service.accounts import _keep_an_admin
from auth_service.handlers import ACCOUNTS, SESSIONS
from auth_service.model import Client, Event, Role, User
from auth_service.store.accounts import AccountStore
from shared import cursor
from shared.errors import DomainError
from tests.api_client import PASSWORD, new_email
from tests.auth_service.alone import Auth, Member, claims_of, says
from tests.auth_service.test_passwords import until
from tests.postgres import opened

CLIENT = Client("10.0.0.1", ["10.0.0.1"], "a test")
NEW_PASSWORD = "a brand new passphrase"
ENDED = (401, "session_ended")
INVALID = (401, "refresh_token_invalid")
SCOPE = (403, "scope_missing")
ADMIN_ONLY = (403, "admin_only")
ROLES: tuple[Role, ...] = ("moderator", "user")
FIELDS = {"id", "email", "name", "role", "disabled_at", "created_at", "updated_at"}


async def walk(auth: Auth, admin: Member, limit: int, between: Callable[[], Awaitable[Any]] | None = None) -> list[str]:
    """Fetch all pages and return the ids of the users; `between` runs after each page."""
    ids: list[str] = []
    query = f"?limit={limit}"
    for _ in range(200):
        reply = await auth.ask("GET", f"/users{query}", token=admin.tokens.account)
        assert reply.status == 200, reply
        assert set(reply.body) == {"items", "next"}
        ids.extend(item["id"] for item in reply.body["items"])
        if reply.body["next"] is None:
            return ids
        assert len(reply.body["items"]) == limit
        query = f"?limit={limit}&cursor={reply.body['next']}"
        if between is not None:
            await between()
    raise AssertionError("the list never ends")


async def test_the_list_has_everybody_once_the_newest_first(own_auth: Auth) -> None:
    """GET /users gives every user once, newest first, whatever the page size."""
    admin = await own_auth.join(role="admin")
    ids = [str(admin.id), *[(await own_auth.register(new_email())).body["id"] for _ in range(7)]]
    for limit in (1, 3, 4, 8, 100):
        assert await walk(own_auth, admin, limit) == ids[::-1]


async def test_users_of_one_moment_are_neither_skipped_nor_repeated(own_auth: Auth) -> None:
    """Users who registered in the same microsecond have a fixed order across pages."""
    admin = await own_auth.join(role="admin")
    ids = {str(admin.id), *[(await own_auth.register(new_email())).body["id"] for _ in range(9)]}
    await own_auth.database.execute("UPDATE users SET created_at = '2026-01-01 00:00:00.123457Z'")
    await own_auth.database.execute("DROP INDEX users_by_time")  # it might give a fixed order by accident
    for limit in (1, 3, 7):
        found = await walk(own_auth, admin, limit)
        assert len(found) == 10
        assert set(found) == ids


@pytest.mark.slow
async def test_newcomers_do_not_disturb_a_walk(own_auth: Auth) -> None:
    """While others register, a walk through the pages finds every earlier user, and no user twice."""
    admin = await own_auth.join(role="admin")
    there = {str(admin.id), *[(await own_auth.register(new_email())).body["id"] for _ in range(11)]}

    async def newcomers() -> None:
        replies = await asyncio.gather(*(own_auth.register(new_email()) for _ in range(3)))
        assert {reply.status for reply in replies} == {201}

    found = await walk(own_auth, admin, 2, newcomers)
    assert len(found) == len(set(found))
    assert set(found) >= there
    assert await own_auth.database.fetchval("SELECT count(*) FROM users") > len(there) + 10


async def test_a_deletion_during_a_walk_skips_nobody(own_auth: Auth) -> None:
    """If the last user of a page is deleted before the next page is fetched, the walk continues after that user."""
    admin = await own_auth.join(role="admin")
    ids = [str(admin.id), *[(await own_auth.register(new_email())).body["id"] for _ in range(5)]][::-1]
    first = await own_auth.ask("GET", "/users?limit=2", token=admin.tokens.account)
    await own_auth.database.execute("DELETE FROM users WHERE id = ANY($1)", [ids[1], ids[2]])
    rest = await own_auth.ask("GET", f"/users?cursor={first.body['next']}", token=admin.tokens.account)
    assert [item["id"] for item in rest.body["items"]] == ids[3:]


async def test_a_page_has_twenty_users_by_default(own_auth: Auth) -> None:
    """A page has 20 users by default; `limit` can be 1 to 100."""
    admin = await own_auth.join(role="admin")
    await own_auth.database.execute(
        "INSERT INTO users (id, email, email_key, name, password_hash)"
        " SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'U', '' FROM generate_series(1, 120) n"
    )
    for query, wanted in (("", 20), ("?limit=1", 1), ("?limit=100", 100)):
        reply = await own_auth.ask("GET", f"/users{query}", token=admin.tokens.account)
        assert len(reply.body["items"]) == wanted
        assert set(reply.body["items"][0]) == FIELDS


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("limit=-1", "limit", "out_of_range"),
        ("limit=x", "limit", "type_wrong"),
        ("limit=", "limit", "type_wrong"),
        ("limit=1&limit=2", "limit", "parameter_repeated"),
        ("role=admin", "role", "field_unknown"),
        ("limit=99999999999999999999999", "limit", "out_of_range"),
    ],
)
async def test_a_wrong_parameter_is_named(auth: Auth, query: str, parameter: str, code: str) -> None:
    """An unknown, repeated or invalid parameter gets 400 and is named."""
    admin = await auth.join(role="admin")
    reply = await auth.ask("GET", f"/users?{query}", token=admin.tokens.account)
    assert says(reply) == (400, "parameter_invalid")
    assert [(error["parameter"], error["code"]) for error in reply.body["errors"]] == [(parameter, code)]


async def test_an_invalid_cursor_is_refused(auth: Auth) -> None:
    """A cursor that this list can't have issued gets 400, whatever it contains."""
    admin = await auth.join(role="admin")
    good = cursor.write((1_700_000_000_000_000).to_bytes(8) + admin.id.bytes)
    assert (await auth.ask("GET", f"/users?cursor={good}", token=admin.tokens.account)).status == 200
    for wrong in (
        "",
        "x",
        good[:-1],
        good + "A",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        cursor.write(bytes(8)),
        cursor.write(bytes(25)),
        cursor.write(b"\xff" * 24),
        cursor.write((2**62).to_bytes(8) + bytes(16)),
        "%00",
        "%ED%A0%80",
        "A" * 5000,
    ):
        reply = await auth.ask("GET", f"/users?cursor={wrong}", token=admin.tokens.account)
        assert says(reply) == (400, "cursor_invalid"), wrong
    for extreme in (0, 253_402_300_799_999_999):
        there = cursor.write(extreme.to_bytes(8) + bytes(16))
        assert (await auth.ask("GET", f"/users?cursor={there}", token=admin.tokens.account)).status == 200


async def test_an_admin_sees_one_user(auth: Auth) -> None:
    """GET /users/{id} shows the account without its password hash; an unknown id gets 404."""
    admin, member = await auth.join(role="admin"), await auth.join("Grace")
    reply = await auth.ask("GET", f"/users/{member.id}", token=admin.tokens.account)
    assert reply.status == 200
    assert set(reply.body) == FIELDS
    assert (reply.body["id"], reply.body["email"], reply.body["name"]) == (str(member.id), member.email, "Grace")
    assert (reply.body["role"], reply.body["disabled_at"]) == ("user", None)
    own = str(member.id)
    for path in (str(uuid4()), own.upper(), own.replace("-", ""), "x", "%00", "me"):
        for method, body in (("GET", None), ("PATCH", {"disabled": True})):
            reply = await auth.ask(method, f"/users/{path}", body, admin.tokens.account)
            assert says(reply) == (404, "not_found"), path
    assert (await auth.me(member.tokens.account)).status == 200


async def test_no_answer_has_a_password_hash(auth: Auth) -> None:
    """No route that shows an account includes its password hash."""
    admin = await auth.join(role="admin")
    email = new_email()
    registered = await auth.register(email)
    user_id, token = registered.body["id"], (await auth.sign_in(email)).account
    answers = [
        registered,
        await auth.me(token),
        await auth.ask("PATCH", "/me", {"name": "Other"}, token),
        await auth.ask("GET", "/sessions", token=token),
        await auth.ask("GET", "/users?limit=100", token=admin.tokens.account),
        await auth.ask("GET", f"/users/{user_id}", token=admin.tokens.account),
        await auth.ask("PATCH", f"/users/{user_id}", {"role": "moderator"}, admin.tokens.account),
    ]
    assert {reply.status for reply in answers} == {200, 201}
    hashes = [row[0] for row in await auth.database.fetch("SELECT password_hash FROM users WHERE password_hash <> ''")]
    assert len(hashes) >= 2
    for reply in answers:
        text = str(reply.body)
        assert "hash" not in text
        assert "bcrypt" not in text
        assert not any(password_hash in text for password_hash in hashes)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/users", None), ("GET", "/users/{0}", None), ("PATCH", "/users/{0}", {"role": "admin"})],
)
async def test_only_admins_have_access(auth: Auth, method: str, path: str, body: object) -> None:
    """Users and moderators get 403, even for their own account and for invalid ids; without a token it is 401."""
    for role in ("user", "moderator"):
        member = await auth.join()
        await auth.database.execute("UPDATE users SET role = $2 WHERE id = $1", member.id, role)
        token = (await auth.sign_in(member.email)).account
        for at in (member.id, uuid4(), "x"):
            reply = await auth.ask(method, path.format(at), body, token)
            assert says(reply) == SCOPE
            assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
        assert says(await auth.ask(method, path.format(member.id), body)) == (401, "token_missing")
        assert await auth.database.fetchval("SELECT role FROM users WHERE id = $1", member.id) == role


async def test_the_row_says_who_is_an_admin_and_not_the_token(auth: Auth) -> None:
    """A demoted admin gets 403 at once, even with a token that still has the scope users:admin."""
    boss, admin, member = await auth.join(role="admin"), await auth.join(role="admin"), await auth.join()
    token = admin.tokens.account
    assert admin.tokens.account_claims["scope"] == "users:admin"
    assert (await auth.ask("GET", "/users", token=token)).status == 200
    reply = await auth.ask("PATCH", f"/users/{admin.id}", {"role": "user"}, boss.tokens.account)
    assert (reply.status, reply.body["role"]) == (200, "user")
    for method, path, body in (
        ("GET", "/users", None),
        ("GET", f"/users/{member.id}", None),
        ("PATCH", f"/users/{member.id}", {"disabled": True}),
        ("PATCH", f"/users/{admin.id}", {"role": "admin"}),
        ("PATCH", f"/users/{uuid4()}", {"role": "admin"}),
    ):
        reply = await auth.ask(method, path, body, token)
        assert says(reply) == ADMIN_ONLY, (method, path)
        assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert (await auth.me(token)).body["role"] == "user"
    assert (await auth.me(member.tokens.account)).status == 200
    assert "users:admin" not in (await auth.renewed(admin.tokens.refresh)).account_claims["scope"]


async def test_a_new_admin_is_one_with_the_next_token(auth: Auth) -> None:
    """A new role takes effect with the next refresh; an earlier token lacks its scope."""
    boss, member = await auth.join(role="admin"), await auth.join()
    reply = await auth.ask("PATCH", f"/users/{member.id}", {"role": "admin"}, boss.tokens.account)
    assert reply.status == 200
    assert says(await auth.ask("GET", f"/users/{boss.id}", token=member.tokens.account)) == SCOPE
    renewed = await auth.renewed(member.tokens.refresh)
    assert (await auth.ask("GET", f"/users/{boss.id}", token=renewed.account)).status == 200


async def test_disabling_ends_everything_at_once(auth: Auth) -> None:
    """Disabling a user ends every session at once and for good, and log-ins fail until the user is enabled again."""
    admin, member = await auth.join(role="admin"), await auth.join()
    opened = [member.tokens, await auth.sign_in(member.email)]
    before = await auth.ask("GET", f"/users/{member.id}", token=admin.tokens.account)
    disabled = await auth.ask("PATCH", f"/users/{member.id}", {"disabled": True}, admin.tokens.account)
    assert disabled.status == 200
    assert disabled.body["disabled_at"] is not None
    changed = {name for name in FIELDS if disabled.body[name] != before.body[name]}
    assert changed == {"disabled_at", "updated_at"}
    for tokens in opened:
        assert says(await auth.me(tokens.account)) == ENDED
        assert says(await auth.refresh(tokens.refresh)) == INVALID
    assert await auth.sessions_of(member.id) == set()
    assert says(await auth.login(member.email)) == (401, "credentials_invalid")
    enabled = await auth.ask("PATCH", f"/users/{member.id}", {"disabled": False}, admin.tokens.account)
    assert (enabled.status, enabled.body["disabled_at"]) == (200, None)
    assert (await auth.login(member.email)).status == 200
    for tokens in opened:
        assert says(await auth.refresh(tokens.refresh)) == INVALID


@pytest.mark.parametrize("path", ["/login", "/me/verify", "/me/password"])
async def test_a_demotion_while_a_password_is_checked_counts(auth: Auth, path: str) -> None:
    """Tokens have the role that the user has when they are signed, not the one from before the hash was computed."""
    member = await auth.join(role="moderator")
    body, token = {
        "/login": ({"email": member.email, "password": PASSWORD}, None),
        "/me/verify": ({"password": PASSWORD}, member.tokens.account),
        "/me/password": ({"current_password": PASSWORD, "new_password": NEW_PASSWORD}, member.tokens.account),
    }[path]
    auth.hasher.checked.clear()
    with auth.hasher.held():
        asked = asyncio.create_task(auth.ask("POST", path, body, token))
        await until(lambda: len(auth.hasher.checked) == 1)
        await auth.app[ACCOUNTS].change(member.id, None, None, role="user")
    reply = await asked
    assert reply.status == 200
    for scope in (reply.body["scope"], claims_of(reply.body["access_token"])["scope"]):
        assert scope == "posts:read posts:write"


@pytest.mark.slow
async def test_log_ins_during_a_disabling_leave_no_session(own_auth: Auth) -> None:
    """Log-ins that are in progress while their user is disabled leave no session."""
    await own_auth.join(role="admin")
    accounts, sessions = own_auth.app[ACCOUNTS], own_auth.app[SESSIONS]
    for _ in range(10):
        member = await own_auth.join()
        user, password_hash = await accounts.authenticate(member.email, PASSWORD, CLIENT)
        await asyncio.gather(
            *(sessions.open(user, password_hash, CLIENT, 0) for _ in range(4)),
            accounts.change(member.id, None, None, disabled=True),
            *(sessions.open(user, password_hash, CLIENT, 0) for _ in range(4)),
            return_exceptions=True,
        )
        assert await own_auth.sessions_of(member.id) == set()


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"role": "root"}, "/role", "value_invalid"),
        ({"role": None}, "/role", "value_invalid"),
        ({"role": "Admin"}, "/role", "value_invalid"),
        ({"disabled": "yes"}, "/disabled", "type_wrong"),
        ({"disabled": 1}, "/disabled", "type_wrong"),
        ({"disabled": None}, "/disabled", "type_wrong"),
        ({"name": "Other"}, "/name", "field_unknown"),
        ({"password": "a long enough passphrase"}, "/password", "field_unknown"),
        ({"disabled_at": None}, "/disabled_at", "field_unknown"),
    ],
)
async def test_what_an_admin_can_not_change_is_named(auth: Auth, body: object, pointer: str, code: str) -> None:
    """An admin can set only `role` and `disabled`; any other field or type gets 422 and changes nothing."""
    admin, member = await auth.join(role="admin"), await auth.join()
    path = f"/users/{member.id}"
    before = await auth.ask("GET", path, token=admin.tokens.account)
    reply = await auth.ask("PATCH", path, body, admin.tokens.account)
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [(pointer, code)]
    assert (await auth.ask("GET", path, token=admin.tokens.account)).body == before.body


async def test_role_and_disabled_are_changed_together(auth: Auth) -> None:
    """One request can change both; a field that is not sent keeps its value."""
    admin, member = await auth.join(role="admin"), await auth.join()
    path = f"/users/{member.id}"
    reply = await auth.ask("PATCH", path, {"role": "moderator", "disabled": True}, admin.tokens.account)
    assert (reply.body["role"], reply.body["disabled_at"] is None) == ("moderator", False)
    reply = await auth.ask("PATCH", path, {"disabled": False}, admin.tokens.account)
    assert (reply.body["role"], reply.body["disabled_at"]) == ("moderator", None)
    reply = await auth.ask("PATCH", path, {"role": "user"}, admin.tokens.account)
    assert (reply.body["role"], reply.body["disabled_at"]) == ("user", None)


async def test_no_op_changes_are_ignored(auth: Auth) -> None:
    """A change that changes nothing returns the user as it is and is not recorded."""
    admin, member = await auth.join(role="admin"), await auth.join()
    path, token = f"/users/{member.id}", admin.tokens.account
    for role, disabled in (("user", False), ("moderator", True)):
        now = await auth.ask("PATCH", path, {"role": role, "disabled": disabled}, token)
        events = await auth.events_of(member.id)
        for body in ({}, {"role": role}, {"disabled": disabled}, {"role": role, "disabled": disabled}):
            again = await auth.ask("PATCH", path, body, token)
            assert (again.status, again.body) == (200, now.body), body
        assert await auth.events_of(member.id) == events
    changed = await auth.ask("PATCH", path, {"role": "user", "disabled": True}, token)
    assert changed.body["disabled_at"] == now.body["disabled_at"]
    assert changed.body["updated_at"] > now.body["updated_at"]
    added = [event["event"] for event in (await auth.events_of(member.id))[len(events) :]]
    assert added == ["role_changed"], "only the role really changed"


async def test_the_last_admin_stays(own_auth: Auth) -> None:
    """The only enabled admin can't be demoted, disabled or deleted, and no part of such a request takes effect."""
    boss, disabled = await own_auth.join(role="admin"), await own_auth.join(role="admin")
    token, path = boss.tokens.account, f"/users/{boss.id}"
    assert (
        await own_auth.ask("PATCH", f"/users/{disabled.id}", {"disabled": True}, token)
    ).status == 200  # a disabled admin doesn't count
    for method, where, body in (
        ("PATCH", path, {"role": "user"}),
        ("PATCH", path, {"role": "moderator"}),
        ("PATCH", path, {"disabled": True}),
        ("PATCH", path, {"role": "admin", "disabled": True}),
        ("PATCH", path, {"role": "user", "disabled": False}),
        ("DELETE", "/me", {"password": PASSWORD}),
    ):
        assert says(await own_auth.ask(method, where, body, token)) == (409, "last_admin")
    assert (await own_auth.me(token)).body["role"] == "admin"
    events = [event["event"] for event in await own_auth.events_of(boss.id)]
    assert set(events) == {"registered", "logged_in"}
    for body in ({"role": "admin"}, {"disabled": False}, {}):
        assert (await own_auth.ask("PATCH", path, body, token)).status == 200
    # other users can be disabled, and once there is a second admin, the first can be deleted
    other = await own_auth.join()
    assert (await own_auth.ask("PATCH", f"/users/{other.id}", {"disabled": True}, token)).status == 200
    assert (await own_auth.ask("PATCH", f"/users/{disabled.id}", {"disabled": False}, token)).status == 200
    assert (await own_auth.ask("DELETE", "/me", {"password": PASSWORD}, token)).status == 204


@pytest.fixture
async def store(own_auth: Auth, database_url: str) -> AsyncIterator[AccountStore]:
    """The account store of `own_auth`, on connections of its own."""
    assert own_auth.auth, "its start created the tables"
    async with opened(database_url) as database:
        yield AccountStore(database)


async def test_two_removals_at_once_leave_one_admin(own_auth: Auth, store: AccountStore) -> None:
    """When the last two admins are removed at once, in whatever way, exactly one of them is left."""
    members = [await own_auth.join(role="admin") for _ in range(2)]
    accounts = own_auth.app[ACCOUNTS]

    async def demote(member: Member, by: User | None) -> bool:
        return await accounts.change(member.id, by, CLIENT, role="user") is not None

    async def disable(member: Member, by: User | None) -> bool:
        return await accounts.change(member.id, by, CLIENT, disabled=True) is not None

    async def delete(member: Member, _: User | None) -> bool:
        # what the handler does once the password has been checked
        found = await store.get(member.id)
        async with store.locked_with_admins(member.id) as locked:
            _keep_an_admin(locked, member.id)
            return found is not None and await locked.remove(member.id, found[1], Event("deleted", member.id))

    ways = (demote, disable, delete)
    rows = await own_auth.database.fetch("SELECT * FROM users")
    users = [await accounts.get(member.id) for member in members]
    for actors in ([None, None], users):
        for one, other in [*itertools.product(ways, ways)] * 4:
            outcomes = await asyncio.gather(
                _outcome(one(members[0], actors[1])), _outcome(other(members[1], actors[0]))
            )
            assert outcomes.count("") == 1, (one.__name__, other.__name__, outcomes)
            assert set(outcomes) <= {"", "last_admin", "admin_only"}
            left = await own_auth.database.fetch("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL")
            assert len(left) == 1
            await _restore(own_auth, rows)


@pytest.mark.parametrize("body", [{"role": "user"}, {"disabled": True}])
async def test_admins_who_remove_each_other_at_once(own_auth: Auth, body: object) -> None:
    """When three admins remove each other at once over HTTP, at least one of them is left."""
    members = [await own_auth.join(role="admin") for _ in range(3)]
    replies = await asyncio.gather(
        *(
            own_auth.ask("PATCH", f"/users/{members[number - 1].id}", body, member.tokens.account)
            for number, member in enumerate(members)
        )
    )
    assert {reply.status for reply in replies} <= {200, 401, 403, 409}
    left = await own_auth.database.fetch("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL")
    assert len(left) == 3 - sum(reply.status == 200 for reply in replies)
    assert len(left) >= 1


@pytest.mark.parametrize("own", [True, False])
async def test_an_admin_removed_meanwhile_changes_nobody(own_auth: Auth, own: bool) -> None:
    """An admin who is demoted while their request waits for a lock gets 403, and nothing changes."""
    boss, admin, member = [await own_auth.join(role="admin") for _ in range(2)] + [await own_auth.join()]
    whom, body = (admin, {"role": "admin"}) if own else (member, {"disabled": True})
    async with own_auth.database.transaction():
        await own_auth.database.execute("UPDATE users SET role = 'user' WHERE id = $1", admin.id)
        waiting = asyncio.create_task(own_auth.ask("PATCH", f"/users/{whom.id}", body, admin.tokens.account))
        await _until_one_waits(own_auth)
    assert says(await waiting) == ADMIN_ONLY
    roles = [(await own_auth.me(each.tokens.account)).body["role"] for each in (boss, admin, member)]
    assert roles == ["admin", "user", "user"]


async def test_without_any_admin_every_change_is_allowed(own_auth: Auth) -> None:
    """Before there is a first admin, the operator can change any account and users can delete their own."""
    member = await own_auth.join()
    accounts = own_auth.app[ACCOUNTS]
    for disabled in (True, False):
        await accounts.change(member.id, None, None, disabled=disabled)
    for role in ROLES:
        await accounts.change(member.id, None, None, role=role)
    tokens = await own_auth.sign_in(member.email)
    assert (await own_auth.ask("DELETE", "/me", {"password": PASSWORD}, tokens.account)).status == 204


async def test_simultaneous_changes_do_not_deadlock(own_auth: Auth) -> None:
    """A change locks the user and the admins in the order of their ids, so that no two changes can deadlock."""
    one, other = sorted([await own_auth.join() for _ in range(2)], key=lambda member: member.id)
    await own_auth.database.execute("UPDATE users SET role = 'admin' WHERE id = $1", other.id)
    boss = await own_auth.sign_in(other.email)
    lock = "SELECT FROM users WHERE id = $1 FOR UPDATE NOWAIT"
    async with own_auth.database.transaction():
        await own_auth.database.execute(lock, one.id)
        waiting = asyncio.create_task(own_auth.ask("PATCH", f"/users/{one.id}", {"role": "moderator"}, boss.account))
        await _until_one_waits(own_auth)
        await own_auth.database.execute(lock, other.id)
    assert (await waiting).status == 200


async def _until_one_waits(auth: Auth) -> None:
    """Wait until a statement of the service waits for a lock."""
    async with asyncio.timeout(30):
        while not await auth.database.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock')"
        ):
            await asyncio.sleep(0.01)


async def _outcome(removal: Awaitable[Any]) -> str:
    """Await a removal; return the code of its error, or an empty string."""
    try:
        await removal
    except DomainError as problem:
        return problem.code
    return ""


async def _restore(auth: Auth, rows: Sequence[Any]) -> None:
    """Restore the users to these rows."""
    columns = list(rows[0].keys())
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    await auth.database.executemany(
        f"INSERT INTO users ({', '.join(columns)}) VALUES ({places}) ON CONFLICT (id) DO UPDATE SET {changed}",
        [tuple(row.values()) for row in rows],
    )
    assert {UUID(str(row["id"])) for row in rows} == {row["id"] for row in await auth.database.fetch("TABLE users")}
