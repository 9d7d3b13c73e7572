"""The operator's commands: `python -m auth_service users …` and `audit`."""

import asyncio
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from dev import service_process as processes
from tests.api_client import PASSWORD, new_email
from tests.auth_service.alone import Auth, alone, says
from tests.auth_service.commands import Operator, Said, environment

BOSS = "boss@example.org"
NEW = "another passphrase altogether"
CTRL_D = "\x04"
EVENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (\w+) (.*)")


async def process(environ: dict[str, str], *words: str, given: str = "") -> Said:
    """Run one command in its own process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auth_service", *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=processes.ROOT,
        env=environ,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(given.encode())
    assert process.returncode is not None
    return Said(process.returncode, output.decode(), errors.decode())


async def accounts(database_url: str) -> list[tuple[str, str, bool]]:
    """The address and role of every account, and whether it is enabled."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT email, role, disabled_at IS NULL AS enabled FROM users ORDER BY created_at")
    await connection.close()
    return [tuple(row) for row in rows]


@pytest.mark.slow
async def test_the_first_admin(database_url: str, keyring_file: Path) -> None:
    """On an empty database, one command creates an admin who can use the service; the password is not shown."""
    words = ("users", "create", BOSS, "--name", "The Boss", "--role", "admin")
    said = await process(environment(database_url), *words, given=PASSWORD + "\n")
    assert said.status == 0, said
    assert re.fullmatch(rf"created [0-9a-f-]{{36}}  admin +enabled +{BOSS}  The Boss\n", said.output)
    assert PASSWORD not in said.output + said.errors
    async with alone(database_url, keyring_file) as auth:
        tokens = await auth.sign_in(BOSS)
        assert (await auth.ask("GET", "/users", token=tokens.account)).status == 200
        [event] = await auth.database.fetch("SELECT * FROM audit_events WHERE event = 'created'")
        assert (str(event["user_id"]), event["actor_id"]) == (tokens.claims["sub"], None)
        assert (event["address"], event["detail"]) == (None, "role admin")


@pytest.mark.slow
async def test_the_life_of_an_account(own_auth: Auth, database_url: str, operator: Operator) -> None:
    """Role, disable, enable and password affect the running service at once, and list shows the result."""
    member = await own_auth.join("Grace")
    promoted = await operator(database_url, "users", "role", member.email.upper(), "admin")
    assert promoted.output.split()[:3] == [str(member.id), "admin", "enabled"]
    assert (await own_auth.me(member.tokens.account)).body["role"] == "admin"
    listed = await operator(database_url, "users", "list")
    other = await operator(database_url, "users", "create", BOSS, "--name", "Boss", "--role", "admin", given=NEW)
    assert other.status == 0
    assert f"{member.id}  admin      enabled" in listed.output

    disabled = await operator(database_url, "users", "disable", member.email)
    assert re.match(rf"{member.id}  admin      disabled \d{{4}}-\d\d-\d\d ", disabled.output)
    assert says(await own_auth.me(member.tokens.account)) == (401, "session_ended")
    assert says(await own_auth.login(member.email)) == (401, "credentials_invalid")
    enabled = await operator(database_url, "users", "enable", member.email)
    assert "enabled" in enabled.output
    tokens = await own_auth.sign_in(member.email)

    changed = await operator(database_url, "users", "password", member.email, given=NEW + "\n")
    assert (changed.status, changed.output) == (0, f"{member.email} has a new password; all sessions were ended\n")
    assert says(await own_auth.me(tokens.account)) == (401, "session_ended")
    assert says(await own_auth.login(member.email)) == (401, "credentials_invalid")
    await own_auth.sign_in(member.email, NEW)

    lines = (await operator(database_url, "users", "list")).output.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(f"{BOSS}  Boss")
    assert lines[1].endswith(f"{member.email}  Grace")
    events = [event["event"] for event in await own_auth.events_of(member.id)]
    assert [event for event in events if event not in ("logged_in", "login_failed")] == [
        "registered",
        "role_changed",
        "disabled",
        "enabled",
        "password_set",
    ]


@pytest.mark.slow
async def test_the_list_is_whole(own_auth: Auth, database_url: str, operator: Operator) -> None:
    """Every account is listed once, however many there are."""
    await own_auth.database.execute(
        "INSERT INTO users (id, email, email_key, name, password_hash, created_at)"
        " SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'U', '', now() - n / 3 * interval '1 s'"
        " FROM generate_series(1, 250) n"
    )
    lines = (await operator(database_url, "users", "list")).output.splitlines()
    assert sorted(line.split()[3] for line in lines) == sorted(f"u{number}" for number in range(1, 251))


@pytest.mark.slow
async def test_a_refused_command_prints_one_line_and_has_status_1(
    own_auth: Auth, database_url: str, operator: Operator
) -> None:
    """A refused command says why in one line, without the password, and changes nothing."""
    boss = await own_auth.join("The Boss", role="admin")
    before = await own_auth.database.fetch("SELECT * FROM users")
    new = new_email()
    create = ("users", "create", new, "--name", "Grace Hopper")
    cases: list[tuple[tuple[str | bytes, ...], str | bytes, str]] = [
        (("users", "create", "no-address", "--name", "Ada"), PASSWORD, "email"),
        (("users", "create", "a@b@c", "--name", "Ada"), PASSWORD, "email"),
        (("users", "create", "a\nb@example.org", "--name", "Ada"), PASSWORD, "email"),
        (("users", "create", b"\xff@example.org", "--name", "Ada"), PASSWORD, "email"),
        (("users", "create", "x" * 250 + "@example.org", "--name", "Ada"), PASSWORD, "email"),
        (("users", "create", boss.email.upper(), "--name", "Ada"), PASSWORD, "already"),
        (("users", "create", new, "--name", ""), PASSWORD, "name"),
        (("users", "create", new, "--name", "two\nlines"), PASSWORD, "name"),
        (("users", "create", new, "--name", "n" * 101), PASSWORD, "1 to 100 characters"),
        (("users", "create", new, "--name", "Ada\u200b"), PASSWORD, "U+200B at position 3"),
        (("users", "create", new, "--name", b"\xff"), PASSWORD, "name"),
        (create, "", "password"),
        (create, "\n", "password"),
        (create, "fourteen chars", "at least 15 characters; 14 were sent"),
        (create, "x" * 257, "at most 256"),
        (create, "passwordpassword", "attackers try first"),
        (create, "Grace Hopper 1234", "made from"),
        (create, "nul \0 inside the passphrase", "NUL"),
        (create, b"\xff\xfe no UTF-8 inside this", "UTF-8"),
        (("users", "password", boss.email), "too short", "at least 15"),
        (("users", "password", boss.email), "The Boss The Boss", "made from"),
        (("users", "password", boss.email), "nul \0 inside the passphrase", "NUL"),
        (("users", "password", boss.email), "y" * 257, "at most 256"),
        (("users", "password", new), PASSWORD, "no such user"),
        (("users", "disable", new), "", "no such user"),
        (("users", "enable", b"\xff"), "", "no such user"),
        (("users", "role", "nobody", "admin"), "", "no such user"),
        (("users", "disable", boss.email), "", "last admin"),
        (("users", "role", boss.email, "moderator"), "", "last admin"),
        (("audit", new), "", "no such user"),
    ]
    for words, given, wanted in cases:
        said = await operator(database_url, *words, given=given)
        assert wanted in said.refusal, (words, said)
        text = given if isinstance(given, str) else given.decode(errors="replace")
        assert not text.strip() or text.strip() not in said.errors
    assert await own_auth.database.fetch("SELECT * FROM users") == before
    assert (await own_auth.me(boss.tokens.account)).status == 200


async def test_a_password_is_not_taken_from_the_command_line(database_url: str, operator: Operator) -> None:
    """No command accepts a password as an argument, and a command with wrong arguments does nothing."""
    for words in (
        ("users", "create", BOSS, "--name", "Boss", "--password", PASSWORD),
        ("users", "create", BOSS, PASSWORD, "--name", "Boss"),
        ("users", "password", BOSS, PASSWORD),
        ("users", "create", BOSS, "--name", "Boss", "--role", "root"),
        ("users", "create", BOSS),
        ("users",),
        ("audit", "--limit", "0"),
        ("audit", "--limit", "-1"),
        ("audit", "--limit", "99999999999999999999"),
        ("audit", "--limit", "x"),
    ):
        said = await operator(database_url, *words, given=PASSWORD)
        assert said.status == 2, (words, said)
        assert said.output == ""
        assert said.errors.startswith("usage: python -m auth_service")
        assert "Traceback" not in said.errors
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('users')") is None, "tables were made"
    await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ([PASSWORD + "\n", PASSWORD + "\n"], ""),
        ([PASSWORD + "\n", PASSWORD + "!\n"], "auth_service: the passwords differ; nothing was done"),
        ([PASSWORD + "\n", CTRL_D], "auth_service: no password was given; nothing was done"),
    ],
)
async def test_at_a_terminal_the_password_is_asked_for_twice(database_url: str, typed: list[str], refusal: str) -> None:
    """At a terminal there is a prompt without echo, and unless the same password is typed twice, nothing is done."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "auth_service", "users", "create", BOSS, "--name", "Boss"),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=processes.ROOT,
            env=environment(database_url),
            start_new_session=True,  # detached from the terminal that the tests run at
        )
        assert process.stderr is not None
        async with asyncio.timeout(60):
            for prompt, keys in zip((b"Password: ", b"Repeat the password: "), typed, strict=True):
                await process.stderr.readuntil(prompt)
                os.write(ours, keys.encode())
            output, errors = await process.communicate()
        os.set_blocking(ours, False)
        try:
            shown = os.read(ours, 10_000)
        except BlockingIOError:
            shown = b""
    finally:
        os.close(ours)
        os.close(theirs)
    assert PASSWORD.encode() not in shown + output + errors
    if refusal:
        assert (process.returncode, errors.decode().splitlines()[-1]) == (1, refusal)
        assert b"Traceback" not in errors
    else:
        assert process.returncode == 0
        assert await accounts(database_url) == [(BOSS, "user", True)]


async def test_a_missing_or_invalid_setting_is_reported_in_one_line(database_url: str, operator: Operator) -> None:
    """A command names a missing or invalid setting, or an unknown database, in one line and ends."""
    assert "DATABASE_URL is not set" in (await operator(None, "users", "list")).refusal
    assert "DATABASE_URL" in (await operator("mysql://elsewhere", "users", "list")).refusal
    assert "PASSWORD_MIN_LENGTH" in (await operator(database_url, "users", "list", PASSWORD_MIN_LENGTH="7")).refusal
    missing = database_url.replace("/test_", "/missing_")
    assert "missing_" in (await operator(missing, "users", "list")).refusal


async def test_audit_prints_who_did_what_when_and_from_where(
    own_auth: Auth, database_url: str, operator: Operator
) -> None:
    """`audit` prints one line per event, newest last, for all accounts or one, up to a limit."""
    boss, member = await own_auth.join(role="admin"), await own_auth.join()
    await own_auth.ask("PATCH", f"/users/{member.id}", {"role": "moderator"}, boss.tokens.account)
    headers = {"X-Forwarded-For": "192.0.2.1"}
    await own_auth.ask("POST", "/logout", token=member.tokens.account, headers=headers)
    every = await operator(database_url, "audit")
    found = [EVENT.fullmatch(line) for line in every.output.splitlines()]
    assert [match and match[1] for match in found] == [
        "registered",
        "logged_in",
        "registered",
        "logged_in",
        "role_changed",
        "logged_out",
    ]
    lines = every.output.splitlines()
    assert f"user={member.id} by={boss.id} from=10." in lines[4]
    assert lines[4].endswith(" detail=moderator")
    assert lines[5].endswith(f" user={member.id} by={member.id} session={member.tokens.session} from=192.0.2.1")
    for words, wanted in (
        ((member.email.upper(),), lines[2:]),
        ((boss.email,), [*lines[:2], lines[4]]),
        (("--limit", "1"), lines[5:]),
        ((boss.email, "--limit", "2"), [lines[1], lines[4]]),
    ):
        assert (await operator(database_url, "audit", *words)).output.splitlines() == wanted


async def test_audit_of_a_deleted_account_goes_by_its_id(own_auth: Auth, database_url: str, operator: Operator) -> None:
    """Events outlive their account and are found by its id, before and after; the address no longer finds them."""
    member = await own_auth.join()
    await own_auth.join()
    before = await operator(database_url, "audit", str(member.id))
    assert before == await operator(database_url, "audit", member.email)
    deleted = await own_auth.ask("DELETE", "/me", {"password": PASSWORD}, member.tokens.account)
    assert deleted.status == 204
    assert "no such user" in (await operator(database_url, "audit", member.email)).refusal
    found = (await operator(database_url, "audit", str(member.id))).output.splitlines()
    assert found[:-1] == before.output.splitlines()
    assert [line.split()[1] for line in found] == ["registered", "logged_in", "deleted"]
