"""Who can reach whom."""

import pytest

from tests.compose.project import DATABASES, SERVICES, Project, connects

PORTS = {"auth": 8001, "auth-db": 5432, "posts": 8002, "posts-db": 5432}


@pytest.mark.parametrize(("here", "there"), [("posts", "auth"), ("auth", "posts")])
def test_no_way_to_the_other_service(project: Project, here: str, there: str) -> None:
    """From inside a service, its own database is reached, and nothing of the other: by no name, address or gateway."""
    foreign = {
        f"{host}:{PORTS[service]}"
        for service in (there, f"{there}-db")
        for host in (service, f"{project.name}-{service}-1", *project.addresses(service))
    }
    published = {f"{host}:{project.ports[service]}" for service in SERVICES for host in project.gateways()}
    own = {f"{host}:5432" for host in (f"{here}-db", *project.addresses(f"{here}-db"))}

    assert set(project.run_inside(here, "reach.py", *foreign, *published, *own)) == own


def test_published_on_the_loopback_only(project: Project) -> None:
    """The services are published on 127.0.0.1 and on no other address of the machine; the databases not at all."""
    published = {
        service: [(binding["HostIp"], binding["HostPort"]) for bindings in ports.values() for binding in bindings or ()]
        for service in PORTS
        for ports in [project.container(service)["NetworkSettings"]["Ports"]]
    }
    assert published == {
        **{service: [("127.0.0.1", str(project.ports[service]))] for service in SERVICES},
        **{database: [] for database in DATABASES},
    }

    for service in SERVICES:
        assert connects("127.0.0.1", project.ports[service])
        assert not any(connects(gateway, project.ports[service]) for gateway in project.gateways())


def test_posts_knows_no_auth(project: Project) -> None:
    """The posts container is told nothing of where auth is."""
    told = "\n".join(project.container("posts")["Config"]["Env"])
    assert "posts-db" in told
    assert "auth" not in told


@pytest.mark.parametrize("service", SERVICES)
def test_the_database_role_has_no_special_right(project: Project, service: str) -> None:
    """A service logs in to its own database alone, without any special right; the superuser can't over the network."""
    assert project.run_inside(service, "log_in.py") == {
        "as itself": "no special right",
        "as itself, another database": "InsufficientPrivilegeError",
        "as the superuser": "InvalidPasswordError",
    }


@pytest.mark.parametrize("database", DATABASES)
def test_the_database_trusts_no_address(project: Project, database: str) -> None:
    """Even from 127.0.0.1 inside the container the database asks for the password, and has none for the superuser."""
    name = database.removesuffix("-db")

    def logs_in(user: str, password: str) -> bool:
        command = f"PGPASSWORD={password} psql -h 127.0.0.1 -U {user} -d {name} -Atc \"SELECT 'in'\""
        return project.execute(database, "sh", "-c", command, check=False) == "in\n"

    the_password = '"$(cat /run/database/password)"'
    assert logs_in(name, the_password)
    assert not logs_in(name, "wrong")
    assert not logs_in("postgres", the_password)
