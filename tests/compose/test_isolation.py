"""Who can reach whom."""

import pytest
from aiohttp import ClientSession

from tests.compose.project import CONSOLE, DATABASES, PUBLISHED, SERVICES, Project, connects

PORTS = {"auth": 8001, "auth-db": 5432, "posts": 8002, "posts-db": 5432, CONSOLE: 8000}


@pytest.mark.parametrize(
    ("here", "own"), [("auth", {"auth", "auth-db"}), ("posts", {"posts", "posts-db"}), (CONSOLE, {CONSOLE})]
)
def test_a_container_reaches_only_its_own(project: Project, here: str, own: set[str]) -> None:
    """A container reaches itself and its own database, and nothing else by any name, address or gateway."""

    def places(services: set[str]) -> set[str]:
        return {
            f"{host}:{PORTS[service]}"
            for service in services
            for host in (service, f"{project.name}-{service}-1", *project.addresses(service))
        }

    published = {f"{host}:{project.ports[service]}" for service in PUBLISHED for host in project.gateways()}

    assert set(project.run_inside(here, "reach.py", *places(set(PORTS)), *published)) == places(own)


def test_published_on_the_loopback_only(project: Project) -> None:
    """Services and console are published on 127.0.0.1 only, and databases are not published at all."""
    published = {
        service: [(binding["HostIp"], binding["HostPort"]) for bindings in ports.values() for binding in bindings or ()]
        for service in PORTS
        for ports in [project.container(service)["NetworkSettings"]["Ports"]]
    }
    assert published == {
        **{service: [("127.0.0.1", str(project.ports[service]))] for service in PUBLISHED},
        **{database: [] for database in DATABASES},
    }

    for service in PUBLISHED:
        assert connects("127.0.0.1", project.ports[service])
        assert not any(connects(gateway, project.ports[service]) for gateway in project.gateways())


def test_posts_knows_no_auth(project: Project) -> None:
    """The environment of the posts container doesn't mention auth."""
    told = "\n".join(project.container("posts")["Config"]["Env"])
    assert "posts-db" in told
    assert "auth" not in told


async def test_the_console_knows_the_published_base_urls(project: Project) -> None:
    """The console gives out both published base URLs and no gallery, and both services allow its origins by CORS."""
    console = project.base_url(CONSOLE)
    async with ClientSession() as http:
        async with http.get(f"{console}/config.json") as told:
            assert await told.json() == {
                "auth": project.base_url("auth"),
                "posts": project.base_url("posts"),
                "gallery": None,
            }
        for service in SERVICES:
            for origin in (console, console.replace("127.0.0.1", "localhost")):
                async with http.get(f"{project.base_url(service)}/health/live", headers={"Origin": origin}) as answer:
                    assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("service", SERVICES)
def test_the_database_role_has_no_special_right(project: Project, service: str) -> None:
    """A service can log in only to its own database, without special rights; the superuser can't over the network."""
    assert project.run_inside(service, "log_in.py") == {
        "as itself": "no special right",
        "as itself, another database": "InsufficientPrivilegeError",
        "as the superuser": "InvalidPasswordError",
    }


@pytest.mark.parametrize("database", DATABASES)
def test_the_database_trusts_no_address(project: Project, database: str) -> None:
    """Even from 127.0.0.1 in its container, the database asks for the password, and the superuser has none."""
    name = database.removesuffix("-db")

    def logs_in(user: str, password: str) -> bool:
        command = f"PGPASSWORD={password} psql -h 127.0.0.1 -U {user} -d {name} -Atc \"SELECT 'in'\""
        return project.execute(database, "sh", "-c", command, check=False) == "in\n"

    the_password = '"$(cat /run/database/password)"'
    assert logs_in(name, the_password)
    assert not logs_in(name, "wrong")
    assert not logs_in("postgres", the_password)


def test_the_audit_events_belong_to_another_role(project: Project) -> None:
    """With the password of the auth container, events can be added and read, and neither changed nor deleted."""
    assert project.run_inside("auth", "change_events.py") == {
        "SELECT count(*) FROM audit_events": "done",
        "INSERT INTO audit_events (event) VALUES ('x')": "done",
        "UPDATE audit_events SET event = 'x'": "InsufficientPrivilegeError",
        "DELETE FROM audit_events": "InsufficientPrivilegeError",
        "TRUNCATE audit_events": "InsufficientPrivilegeError",
        "DROP TABLE audit_events": "InsufficientPrivilegeError",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL": "InsufficientPrivilegeError",
        "SET ROLE auth_owner": "InsufficientPrivilegeError",
    }
    pruned = project.compose("run", "--rm", "auth-migrate", "audit", "prune", "--older-than", "30")
    assert pruned.endswith("deleted 0 events older than 30 days\n")
