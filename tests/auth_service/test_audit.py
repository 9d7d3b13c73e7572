"""The audit log: what is recorded, and that an action and its event are stored together or not at all."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.api_client import PASSWORD, Reply, new_email
from tests.auth_service.alone import Auth, says, tokens_of

NEW = "another passphrase altogether"
ADDRESS = "192.0.2.77"


@dataclass(frozen=True)
class Recorded:
    """An audit event without its id and time."""

    event: str
    user: UUID | None
    actor: UUID | None
    session: UUID | None
    address: str | None
    detail: str | None


async def recorded(auth: Auth, since: int = 0) -> list[Recorded]:
    """The events recorded after this id."""
    rows = await auth.database.fetch("SELECT * FROM audit_events WHERE id > $1 ORDER BY id", since)
    return [
        Recorded(
            row["event"],
            row["user_id"],
            row["actor_id"],
            row["session_id"],
            None if row["address"] is None else str(row["address"]),
            row["detail"],
        )
        for row in rows
    ]


async def last(auth: Auth) -> int:
    """The id of the newest event, or 0."""
    return await auth.database.fetchval("SELECT coalesce(max(id), 0) FROM audit_events") or 0


@dataclass
class Deeds:
    """Sends requests and checks which events they record."""

    auth: Auth

    async def __call__(
        self, method: str, path: str, body: object, token: str | None, status: int, *events: Recorded
    ) -> Reply:
        """Send a request from ADDRESS; check its status, and that it records exactly these events."""
        since = await last(self.auth)
        reply = await self.auth.ask(method, path, body, token, headers={"X-Forwarded-For": ADDRESS})
        assert reply.status == status, reply
        assert await recorded(self.auth, since) == list(events)
        return reply


async def test_accounts_and_log_ins_are_recorded(auth: Auth) -> None:
    """Registrations, log-ins and failed log-ins record the user and the client's address, but no unknown e-mail."""
    do = Deeds(auth)
    given = {"email": new_email(), "password": PASSWORD}
    since = await last(auth)
    reply = await auth.ask("POST", "/register", {**given, "name": "Ada"}, headers={"X-Forwarded-For": ADDRESS})
    user = UUID(reply.body["id"])
    assert await recorded(auth, since) == [Recorded("registered", user, user, None, ADDRESS, None)]
    since = await last(auth)
    tokens = await auth.sign_in(given["email"], **{"X-Forwarded-For": ADDRESS})
    assert await recorded(auth, since) == [Recorded("logged_in", user, user, tokens.session, ADDRESS, None)]
    given["password"] = "a wrong passphrase"
    await do("POST", "/login", given, None, 401, Recorded("login_failed", user, None, None, ADDRESS, None))
    given["email"] = new_email()
    await do("POST", "/login", given, None, 401, Recorded("login_failed", None, None, None, ADDRESS, None))
    assert given["email"] not in str(await auth.database.fetch("SELECT * FROM audit_events"))


async def test_the_end_of_a_session_is_recorded(auth: Auth) -> None:
    """Each session that ends by a log-out or by token reuse is recorded as one event; a refresh is not recorded."""
    do = Deeds(auth)
    member = await auth.join()
    stolen, *opened = [member.tokens, *[await auth.sign_in(member.email) for _ in range(4)]]

    def out(session: UUID) -> Recorded:
        return Recorded("logged_out", member.id, member.id, session, ADDRESS, None)

    newer = tokens_of(await do("POST", "/refresh", {"refresh_token": stolen.refresh}, None, 200))
    await auth.let_grace_end(stolen.session)
    reused = Recorded("refresh_token_reused", member.id, None, stolen.session, ADDRESS, None)
    await do("POST", "/refresh", {"refresh_token": stolen.refresh}, None, 401, reused)
    await do("POST", "/refresh", {"refresh_token": newer.refresh}, None, 401)
    first, second, third, fourth = opened
    await do("POST", "/logout", {"refresh_token": first.refresh}, None, 204, out(first.session))
    await do("POST", "/logout", {"refresh_token": first.refresh}, None, 204)
    await do("POST", "/logout", None, second.account, 204, out(second.session))
    await do("POST", "/logout", None, second.account, 204)
    await do("DELETE", f"/sessions/{third.session}", None, fourth.account, 204, out(third.session))
    await do("DELETE", "/sessions", None, fourth.account, 204, out(fourth.session))


async def test_the_end_of_an_expired_session_is_not_recorded(auth: Auth) -> None:
    """Logging out of an expired session records nothing, and logging out everywhere skips expired sessions."""
    do = Deeds(auth)
    member = await auth.join()
    over = await auth.sign_in(member.email)
    await auth.expire(over.session)
    await do("POST", "/logout", {"refresh_token": over.refresh}, None, 204)
    await do("POST", "/logout", None, over.account, 204)
    left = Recorded("logged_out", member.id, member.id, member.tokens.session, ADDRESS, None)
    await do("DELETE", "/sessions", None, member.tokens.account, 204, left)


async def test_passwords_and_deletion_are_recorded(auth: Auth) -> None:
    """A password change, a deletion, and every wrong password given for them are recorded."""
    do = Deeds(auth)
    member = await auth.join()
    token = member.tokens.account
    failed = Recorded("password_check_failed", member.id, member.id, None, ADDRESS, None)
    changed = Recorded("password_changed", member.id, member.id, member.tokens.session, ADDRESS, None)
    body = {"current_password": "a wrong passphrase", "new_password": NEW}
    await do("POST", "/me/password", body, token, 403, failed)
    await do("POST", "/me/password", {**body, "current_password": PASSWORD}, token, 200, changed)
    token = (await auth.sign_in(member.email, NEW)).account
    await do("PATCH", "/me", {"name": "Augusta"}, token, 200)
    await do("DELETE", "/me", {"password": PASSWORD}, token, 403, failed)
    deleted = Recorded("deleted", member.id, member.id, None, ADDRESS, None)
    await do("DELETE", "/me", {"password": NEW}, token, 204, deleted)
    assert len(await auth.events_of(member.id)) == 7, "events outlive the account"


async def test_what_an_admin_does_is_recorded(auth: Auth) -> None:
    """Changing a role, disabling and enabling record the user, the admin, the address, and the new role."""
    do = Deeds(auth)
    boss, member = await auth.join(role="admin"), await auth.join()

    def by_boss(event: str, detail: str | None = None) -> Recorded:
        return Recorded(event, member.id, boss.id, None, ADDRESS, detail)

    path, token = f"/users/{member.id}", boss.tokens.account
    await do("PATCH", path, {"role": "moderator"}, token, 200, by_boss("role_changed", "moderator"))
    await do("PATCH", path, {"disabled": True}, token, 200, by_boss("disabled"))
    await do("PATCH", path, {"disabled": False}, token, 200, by_boss("enabled"))
    both = (by_boss("role_changed", "user"), by_boss("disabled"))
    await do("PATCH", path, {"role": "user", "disabled": True}, token, 200, *both)
    await do("GET", path, None, token, 200)
    failed = Recorded("login_failed", member.id, None, None, ADDRESS, None)
    await do("POST", "/login", {"email": member.email, "password": PASSWORD}, None, 401, failed)


async def test_what_is_refused_is_not_recorded_as_done(own_auth: Auth) -> None:
    """A refused action is not recorded as done."""
    boss, member = await own_auth.join(role="admin"), await own_auth.join()
    since = await last(own_auth)
    for method, path, body, token, status in (
        ("POST", "/register", {"email": member.email, "password": PASSWORD, "name": "A"}, None, 409),
        ("POST", "/register", {"email": new_email(), "password": "short", "name": "A"}, None, 422),
        ("PATCH", f"/users/{boss.id}", {"role": "user"}, boss.tokens.account, 409),
        ("PATCH", f"/users/{boss.id}", {"role": "root"}, boss.tokens.account, 422),
        ("PATCH", f"/users/{boss.id}", {"disabled": True}, member.tokens.account, 403),
        ("DELETE", f"/sessions/{boss.tokens.session}", None, member.tokens.account, 404),
        ("DELETE", "/me", {"password": PASSWORD}, boss.tokens.account, 409),
        ("POST", "/logout", {"refresh_token": "nonsense"}, None, 204),
        ("POST", "/refresh", {"refresh_token": "nonsense"}, None, 401),
    ):
        reply = await own_auth.ask(method, path, body, token)
        assert reply.status == status, (method, path, reply)
    assert await recorded(own_auth, since) == []


@pytest.mark.slow
async def test_without_its_event_nothing_is_done(own_auth: Auth) -> None:
    """If its event can't be written, the action is not done either: both are in one transaction."""
    auth = own_auth
    boss, member = await auth.join(role="admin"), await auth.join()
    stolen = await auth.sign_in(member.email)
    await auth.renewed(stolen.refresh)
    await auth.let_grace_end(stolen.session)
    token, admin = member.tokens.account, boss.tokens.account
    deeds: list[tuple[str, str, object, str | None]] = [
        ("POST", "/register", {"email": new_email(), "password": PASSWORD, "name": "Ada"}, None),
        ("POST", "/login", {"email": member.email, "password": PASSWORD}, None),
        ("POST", "/login", {"email": member.email, "password": "a wrong passphrase"}, None),
        ("POST", "/refresh", {"refresh_token": stolen.refresh}, None),
        ("POST", "/logout", {"refresh_token": member.tokens.refresh}, None),
        ("POST", "/logout", None, token),
        ("DELETE", f"/sessions/{stolen.session}", None, token),
        ("DELETE", "/sessions", None, token),
        ("POST", "/me/password", {"current_password": PASSWORD, "new_password": NEW}, token),
        ("PATCH", f"/users/{member.id}", {"role": "moderator"}, admin),
        ("PATCH", f"/users/{member.id}", {"disabled": True}, admin),
        ("PATCH", f"/users/{member.id}", {"role": "moderator", "disabled": True}, admin),
        ("DELETE", "/me", {"password": PASSWORD}, token),
    ]
    before = await _contents(auth)
    await auth.database.execute("ALTER TABLE audit_events RENAME TO audit_events_elsewhere")
    for method, path, body, bearer in deeds:
        reply = await auth.ask(method, path, body, bearer)
        assert says(reply) == (500, "internal_error"), (method, path, body)
        assert await _contents(auth) == before, (method, path, body)
    await auth.database.execute("ALTER TABLE audit_events_elsewhere RENAME TO audit_events")
    assert [event.event for event in await recorded(auth)] == ["registered", "logged_in"] * 2 + ["logged_in"]
    for method, path, body, bearer in (deeds[0], deeds[9], deeds[8], deeds[10]):
        assert (await auth.ask(method, path, body, bearer)).status < 300, (method, path)


async def _contents(auth: Auth) -> list[Any]:
    """Every row of users and sessions."""
    return [await auth.database.fetch(f"SELECT * FROM {table} ORDER BY id") for table in ("users", "sessions")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET event = 'nothing'",
        "UPDATE audit_events SET address = NULL WHERE false",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE id = 1",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events (event) VALUES ('x') ON CONFLICT (id) DO UPDATE SET event = 'nothing'",
    ],
)
async def test_events_are_only_ever_added(auth: Auth, statement: str) -> None:
    """No statement can change or delete an event, not even one run by the table's owner."""
    await auth.join()
    before = await recorded(auth)
    assert before
    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        await auth.database.execute(statement)
    assert await recorded(auth) == before
