"""Who did what, when and from where; and that no secret is ever told."""

import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession

from dev import pair as processes
from tests.auth_service.alone import Auth
from tests.pair import PASSWORD, Pair, new_email
from tests.postgres import Server

NEW_PASSWORD = "another long passphrase"


async def events(auth: Auth, email: str) -> list[dict[str, Any]]:
    """What was recorded of an account, the oldest first."""
    rows = await auth.database.fetch(
        "SELECT event, user_id, actor_id, session_id, host(address) AS address, detail FROM audit_events"
        " WHERE user_id = (SELECT id FROM users WHERE email = $1) ORDER BY id",
        email,
    )
    return [dict(row) for row in rows]


async def test_what_is_done_to_an_account_is_recorded(auth: Auth) -> None:
    """Registering, log-ins that work and that fail, log-out, reuse and new passwords leave an event each."""
    email, here = new_email(), {"X-Forwarded-For": "203.0.113.7"}
    body = {"email": email, "password": PASSWORD}
    await auth.ask("POST", "/register", {**body, "name": "Ada"}, headers=here)
    await auth.ask("POST", "/login", {**body, "password": "a wrong passphrase"}, headers=here)
    tokens = (await auth.ask("POST", "/login", body, headers=here)).body
    await auth.ask(
        "POST",
        "/me/password",
        {"current_password": "wrong", "new_password": NEW_PASSWORD},
        tokens["access_token"],
        headers=here,
    )
    await auth.ask(
        "POST",
        "/me/password",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        tokens["access_token"],
        headers=here,
    )
    await auth.ask("POST", "/refresh", {"refresh_token": tokens["refresh_token"]}, headers=here)
    await auth.database.execute(
        "UPDATE sessions SET rotated_at = rotated_at - interval '11 seconds' WHERE user_id = (SELECT id FROM users"
        " WHERE email = $1)",
        email,
    )
    reused = await auth.ask("POST", "/refresh", {"refresh_token": tokens["refresh_token"]}, headers=here)
    assert reused.code == "refresh_token_reused"
    again = (await auth.ask("POST", "/login", {**body, "password": NEW_PASSWORD}, headers=here)).body
    await auth.ask("POST", "/logout", {"refresh_token": again["refresh_token"]}, headers=here)
    found = await events(auth, email)
    assert [event["event"] for event in found] == [
        "registered",
        "login_failed",
        "logged_in",
        "password_check_failed",
        "password_changed",
        "refresh_token_reused",
        "logged_in",
        "logged_out",
    ]
    assert {event["address"] for event in found} == {"203.0.113.7"}
    assert all(event["session_id"] for event in found if event["event"] in ("logged_in", "logged_out"))


async def test_a_deletion_stays_known(auth: Auth) -> None:
    """The events of an account outlive it."""
    email = new_email()
    user_id = (await auth.register(email)).body["id"]
    token = (await auth.login(email)).body["access_token"]
    assert (await auth.ask("DELETE", "/me", {"password": PASSWORD}, token)).status == 204
    rows = await auth.database.fetch(
        "SELECT event FROM audit_events WHERE user_id = $1::text::uuid ORDER BY id", user_id
    )
    assert [row["event"] for row in rows] == ["registered", "logged_in", "deleted"]


async def test_an_admin_is_named_as_the_one_who_did_it(auth: Auth) -> None:
    """What an admin does to an account says which admin, and what."""
    admin, user = new_email(), new_email()
    admin_id = (await auth.register(admin)).body["id"]
    user_id = (await auth.register(user)).body["id"]
    await auth.database.execute("UPDATE users SET role = 'admin' WHERE email = $1", admin)
    token = (await auth.login(admin)).body["access_token"]
    for change in ({"role": "moderator"}, {"disabled": True}, {"disabled": False}):
        assert (await auth.ask("PATCH", f"/users/{user_id}", change, token)).status == 200
    found = (await events(auth, user))[1:]
    assert [(event["event"], str(event["actor_id"]), event["detail"]) for event in found] == [
        ("role_changed", admin_id, "moderator"),
        ("disabled", admin_id, None),
        ("enabled", admin_id, None),
    ]
    await auth.database.execute("UPDATE users SET role = 'user' WHERE email = $1", admin)


async def test_an_unknown_address_is_recorded_without_it(auth: Auth) -> None:
    """A log-in at an address that nobody has is recorded, and the address is not."""
    email = new_email()
    before = await auth.database.fetchval("SELECT max(id) FROM audit_events")
    await auth.login(email)
    rows = await auth.database.fetch("SELECT * FROM audit_events WHERE id > $1", before)
    assert any(row["event"] == "login_failed" and row["user_id"] is None for row in rows)
    assert email not in str(rows)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET event = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
async def test_events_are_only_ever_added(auth: Auth, statement: str) -> None:
    """Nothing that was recorded can be changed or taken away."""
    await auth.register(new_email())
    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        await auth.database.execute(statement)


async def test_what_can_not_be_recorded_is_not_done(own_auth: Auth) -> None:
    """An event is written in the transaction of what it records: without the one there is not the other."""
    email, other = new_email(), new_email()
    await own_auth.register(email)
    tokens = (await own_auth.login(email)).body
    await own_auth.database.execute("ALTER TABLE audit_events RENAME TO elsewhere")
    assert (await own_auth.register(other)).status == 500
    assert (await own_auth.login(email)).status == 500
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await own_auth.ask("POST", "/me/password", change, tokens["access_token"])).status == 500
    assert (await own_auth.ask("POST", "/logout", token=tokens["access_token"])).status == 500
    assert (await own_auth.ask("DELETE", "/me", {"password": PASSWORD}, tokens["access_token"])).status == 500
    await own_auth.database.execute("ALTER TABLE elsewhere RENAME TO audit_events")
    assert await own_auth.database.fetchval("SELECT count(*) FROM users") == 1
    assert await own_auth.database.fetchval("SELECT count(*) FROM sessions") == 1
    assert (await own_auth.ask("GET", "/me", token=tokens["access_token"])).status == 200
    assert (await own_auth.login(email)).status == 200


async def test_no_secret_is_told_anywhere(database_server: Server, keyring_file: Path, tmp_path: Path) -> None:
    """No password, token or key is in a log, an error, a metric or the audit after a run with every kind of failure."""
    urls = {name: await database_server.create_database() for name in ("auth", "posts")}
    ports = {name: processes.free_port() for name in urls}
    log = tmp_path / "log"
    said: list[str] = []
    secrets = {PASSWORD, NEW_PASSWORD, "a wrong passphrase", "sh0rt-Pa55"}
    secrets |= {key["k"] for key in json.loads(keyring_file.read_text())["keys"]}
    services = []
    try:
        with log.open("wb") as out:
            for name, url in urls.items():
                more = {"LOG_FORMAT": "json", "METRICS_PORT": str(ports[name])}
                more |= {"BCRYPT_COST": "4"} if name == "auth" else {}
                services.append(
                    processes.start(
                        name, port=processes.free_port(), database_url=url, keyring=keyring_file, more=more, log=out
                    )
                )
        processes.wait_until_ready(services)
        async with ClientSession() as http:
            pair = Pair(services[0].url, services[1].url, http)
            secrets |= await walk(pair, said)
            for port in ports.values():
                async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                    said.append(await response.text())
    finally:
        processes.stop(services)
    connection = await asyncpg.connect(urls["auth"])
    said.append(str(await connection.fetch("SELECT * FROM audit_events")))
    secrets |= {row["password_hash"] for row in await connection.fetch("SELECT password_hash FROM users")}
    await connection.close()
    said.append(log.read_text())
    for url in urls.values():
        await database_server.drop_database(url)
    everything = "\n".join(said)
    assert len(said) > 15
    assert everything.count('"message"') > 15
    assert "login_failed" in everything
    assert "http_requests_total" in everything
    for secret in secrets:
        assert secret not in everything, secret[:6]
        for part in re.split(r"[.$]", secret):
            assert len(part) < 20 or part not in everything, part[:6]


async def walk(pair: Pair, said: list[str]) -> set[str]:
    """Do everything, also wrongly; return the tokens, and put the errors into `said`."""
    email = new_email()
    used: set[str] = set()

    async def ask(method: str, url: str, json_body: object = None, token: str | None = None, **more: Any) -> Any:
        reply = await pair.call(method, url, json_body, token, **more)
        if reply.status >= 400:
            said.append(json.dumps(reply.body) + str(reply.headers))
        return reply.body

    login = {"email": email, "password": PASSWORD}
    await ask("POST", f"{pair.auth}/register", {**login, "name": "Ada"})
    await ask("POST", f"{pair.auth}/register", {**login, "name": "Ada"})
    await ask("POST", f"{pair.auth}/register", {**login, "password": "sh0rt-Pa55", "name": 7})
    await ask("POST", f"{pair.auth}/login", {**login, "password": "a wrong passphrase"})
    await ask("POST", f"{pair.auth}/login", {**login, "surplus": PASSWORD})
    await ask("POST", f"{pair.auth}/login?password={PASSWORD.replace(' ', '+')}", {})
    tokens = await ask("POST", f"{pair.auth}/login", login)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    used |= {access, refresh}
    rotated = await ask("POST", f"{pair.auth}/refresh", {"refresh_token": refresh})
    used |= {rotated["access_token"], rotated["refresh_token"]}
    await ask("POST", f"{pair.auth}/refresh", {"refresh_token": refresh[:-1]})
    await ask("POST", f"{pair.auth}/refresh", {"refresh_token": refresh, "surplus": refresh})
    await ask("POST", f"{pair.auth}/me/password", {"current_password": PASSWORD, "new_password": "sh0rt-Pa55"}, access)
    await ask(
        "POST",
        f"{pair.auth}/me/password",
        {"current_password": "a wrong passphrase", "new_password": NEW_PASSWORD},
        access,
    )
    await ask("GET", f"{pair.posts}/posts", token=access[:-4] + "AAAA")
    await ask("GET", f"{pair.posts}/posts?access_token={access}")
    await ask("GET", f"{pair.posts}/{access}")
    await ask("GET", f"{pair.posts}/posts", headers={"Authorization": f"Basic {access}"})
    await ask("POST", f"{pair.posts}/posts", {"title": "t" * 300}, access)
    await ask("POST", f"{pair.posts}/posts", {"title": "Hi", "body": "there"}, access)
    await ask("POST", f"{pair.auth}/me/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}, access)
    await ask("POST", f"{pair.auth}/logout", {"refresh_token": rotated["refresh_token"]})
    await ask("GET", f"{pair.auth}/me", token=access)
    return used
