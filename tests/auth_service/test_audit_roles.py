"""The audit events belong to another database role than the service's, and how old ones are removed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from auth_service.store.audit import AuditStore
from tests.api_client import PASSWORD, new_email
from tests.auth_service.alone import Auth, alone
from tests.auth_service.commands import Operator
from tests.postgres import opened

NEW = "another passphrase altogether"


@dataclass(frozen=True)
class Roles:
    """A database with two roles: the URLs with which they log in, and the service's name."""

    owner: str
    service: str
    service_name: str


@asynccontextmanager
async def two_roles(database_url: str) -> AsyncIterator[Roles]:
    """Make a role that owns the database, and one that doesn't yet; remove them afterwards."""
    names = [f"{kind}_{uuid4().hex}" for kind in ("owner", "service")]
    parts = urlsplit(database_url)
    superuser = await asyncpg.connect(database_url)
    for name in names:
        await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    await superuser.execute(f"ALTER DATABASE {parts.path[1:]} OWNER TO {names[0]}")
    host = parts.netloc.rpartition("@")[2]
    # the embedded server's URL names its socket and user in the query
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] != "user"])
    urls = [parts._replace(netloc=f"{name}:x@{host}", query=query).geturl() for name in names]
    try:
        yield Roles(urls[0], urls[1], names[1])
    finally:
        await superuser.execute(f"ALTER DATABASE {parts.path[1:]} OWNER TO CURRENT_USER")
        for name in names:
            await superuser.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
        await superuser.close()


@pytest.fixture
async def roles(database_url: str, operator: Operator) -> AsyncIterator[Roles]:
    """Two roles on a database that the owner has migrated for the service."""
    async with two_roles(database_url) as roles:
        said = await operator(roles.owner, "migrate", "--grant-to", roles.service_name)
        assert said.status == 0, said
        yield roles


async def test_the_service_role_is_enough_to_serve(roles: Roles, keyring_file: Path) -> None:
    """A role that owns nothing can do all that the service does."""
    async with alone(roles.service, keyring_file, migrate=False) as auth:
        boss, member = await auth.join(role="admin"), await auth.join()
        await auth.renewed(member.tokens.refresh)
        deeds: list[tuple[str, str, object, str]] = [
            ("PATCH", "/me", {"name": "Augusta"}, member.tokens.account),
            ("PATCH", f"/users/{member.id}", {"role": "moderator"}, boss.tokens.account),
            ("POST", "/me/password", {"current_password": PASSWORD, "new_password": NEW}, member.tokens.account),
            ("DELETE", "/sessions", None, boss.tokens.account),
        ]
        assert (await auth.login(member.email, "a wrong passphrase")).status == 401
        for method, path, body, token in deeds:
            assert (await auth.ask(method, path, body, token)).status < 300, (method, path)
        again = await auth.sign_in(member.email, NEW)
        assert (await auth.ask("DELETE", "/me", {"password": NEW}, again.account)).status == 204
        assert len(await auth.events_of(member.id)) == 7


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET event = 'nothing'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DROP TABLE audit_events",
        "ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_kept",
        "DROP TRIGGER audit_events_are_kept ON audit_events",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "SELECT prune_audit_events(365, 1)",
        "SET session_replication_role = replica",
        "UPDATE schema_migrations SET checksum = ''",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_the_service_role_can_only_add_events(roles: Roles, statement: str) -> None:
    """With two roles, an intruder in the service can't change events, nor what keeps them, even with DDL."""
    connection = await asyncpg.connect(roles.service)
    try:
        await connection.execute("INSERT INTO audit_events (event) VALUES ('x')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        assert await connection.fetchval("SELECT event FROM audit_events") == "x"
    finally:
        await connection.close()


async def test_an_existing_service_gets_a_second_role(
    database_url: str, operator: Operator, keyring_file: Path
) -> None:
    """The tables of a service that ran as their owner can be given to another role, as ADR 15 says; accounts stay."""
    async with two_roles(database_url) as roles:
        name, owner = roles.service_name, urlsplit(roles.owner).username
        superuser = await asyncpg.connect(database_url)
        database = urlsplit(database_url).path[1:]
        await superuser.execute(f"ALTER DATABASE {database} OWNER TO {name}")
        async with alone(roles.service, keyring_file) as auth:
            member = await auth.join()
        await superuser.execute(f"ALTER DATABASE {database} OWNER TO {owner}")
        await superuser.execute(f"REASSIGN OWNED BY {name} TO {owner}; GRANT CONNECT ON DATABASE {database} TO {name}")
        await superuser.close()
        assert (await operator(roles.owner, "migrate", "--grant-to", name)).status == 0
        async with alone(roles.service, keyring_file, migrate=False) as auth:
            await auth.sign_in(member.email)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await auth.database.execute("DELETE FROM audit_events")
            assert len(await auth.events_of(member.id)) == 3


async def test_roles_are_told_apart_in_one_line(roles: Roles, operator: Operator) -> None:
    """A command that is run as the wrong role, or for one that can't be meant, says which one is needed."""
    for url, words, wanted in (
        (roles.service, ("migrate",), "MIGRATE=false"),
        (roles.service, ("audit",), "MIGRATE=false"),
        (roles.owner, ("migrate", "--grant-to", "nobody_has_this"), "nobody_has_this"),
        (roles.owner, ("migrate", "--grant-to", str(urlsplit(roles.owner).username)), "must run as another one"),
    ):
        said = await operator(url, *words)
        assert said.status == 1, (words, said)
        assert wanted in said.errors, (words, said)
        assert "Traceback" not in said.errors
    said = await operator(roles.service, "audit", "prune", "--older-than", "30", MIGRATE="false")
    assert "doesn't own the events" in said.refusal


async def test_tables_of_later_migrations_are_granted_too(roles: Roles, operator: Operator) -> None:
    """Each run of the command grants what is there, and takes back what is too much."""
    owner, service = await asyncpg.connect(roles.owner), await asyncpg.connect(roles.service)
    await owner.execute(f"CREATE TABLE later (id int); GRANT ALL ON audit_events TO {roles.service_name}")
    assert (await operator(roles.owner, "migrate", "--grant-to", roles.service_name)).status == 0
    assert await service.fetch("SELECT * FROM later") == []
    assert not await service.fetchval("SELECT has_table_privilege('audit_events', 'UPDATE, DELETE, TRUNCATE')")
    await owner.close()
    await service.close()


async def _age(auth: Auth, *days: int) -> None:
    """Add events of these ages."""
    await auth.database.execute(
        "INSERT INTO audit_events (event, at) SELECT 'old', now() - make_interval(days => n) FROM unnest($1::int[]) n",
        days,
    )


@pytest.mark.parametrize("given", ["option", "setting"])
async def test_pruning_deletes_old_events_alone(
    own_auth: Auth, database_url: str, operator: Operator, given: str
) -> None:
    """`audit prune` deletes events older than the given age and records it; nothing else can be deleted afterwards."""
    await own_auth.join()
    await _age(own_auth, 29, 60, 61, 400)
    option = ("--older-than", "60") if given == "option" else ()
    more = {} if given == "option" else {"AUDIT_RETENTION_DAYS": "60"}
    said = await operator(database_url, "audit", "prune", *option, **more)
    assert (said.status, said.output) == (0, "deleted 3 events older than 60 days\n")
    events = await own_auth.database.fetch("SELECT event, detail FROM audit_events ORDER BY id")
    assert [event["event"] for event in events] == ["registered", "logged_in", "old", "audit_pruned"]
    assert events[-1]["detail"] == "3 events older than 60 days"
    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        await own_auth.database.execute("DELETE FROM audit_events")
    again = await operator(database_url, "audit", "prune", *option, **more)
    assert again.output == "deleted 0 events older than 60 days\n"
    assert len(await own_auth.database.fetch("SELECT * FROM audit_events")) == 4


async def test_new_events_can_not_be_pruned(own_auth: Auth, database_url: str, operator: Operator) -> None:
    """No age below 30 days is accepted, and without an age nothing is deleted."""
    await _age(own_auth, 29, 400)
    assert "events are kept for ever" in (await operator(database_url, "audit", "prune")).refusal
    assert (await operator(database_url, "audit", "prune", "--older-than", "29")).status == 2
    refused = await operator(database_url, "audit", "prune", AUDIT_RETENTION_DAYS="29")
    assert "AUDIT_RETENTION_DAYS" in refused.refusal
    for days in ("29", "0", "-1", "NULL"):
        with pytest.raises(asyncpg.RaiseError, match="last 30 days are kept"):
            await own_auth.database.fetchval(f"SELECT prune_audit_events({days}, 100)")
    assert await own_auth.database.fetchval("SELECT count(*) FROM audit_events") == 2


async def test_pruning_goes_batch_by_batch(own_auth: Auth, database_url: str) -> None:
    """A batch deletes the oldest events first, and no more than asked for."""
    await _age(own_auth, 31, 400, 300)
    async with opened(database_url) as database:
        store = AuditStore(database)
        assert [await store.prune(30, 2) for _ in range(3)] == [2, 1, 0]


async def test_a_pruned_log_takes_new_events(own_auth: Auth, database_url: str) -> None:
    """While old events are deleted, new ones wait and are written."""
    await own_auth.database.execute(
        "INSERT INTO audit_events (event, at) SELECT 'old', now() - interval '1 year' FROM generate_series(1, 20000)"
    )
    async with opened(database_url) as database:
        assert await AuditStore(database).prune(30, 20_000) == 20_000
    assert (await own_auth.register(new_email())).status == 201
