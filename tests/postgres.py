"""The Postgres server that the tests run against, with a new database for each test that asks for one."""

import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from dev.postgres import temporary
from shared.database.pool import Database
from tests import pgbouncer

IMAGE = "postgres:17"
KINDS = ("url", "container", "embedded", "pgbouncer")
ROOM = 4 * 1024**3
"""Bytes that an embedded Postgres may need, most of them for its write-ahead log."""
ENGINE = "unix:///var/run/docker.sock"
"""Where a container engine listens unless DOCKER_HOST names another address."""


def choose() -> str:
    """Choose a Postgres: TEST_DATABASE_URL, else a container, else the embedded one.

    TEST_DATABASE=embedded|container|pgbouncer forces one; pgbouncer is the embedded one, which the services use through
    PgBouncer.
    """
    forced = os.environ.get("TEST_DATABASE")
    if forced is not None and forced not in KINDS:
        raise pytest.UsageError(f"TEST_DATABASE is {forced!r}; it must be embedded, container or pgbouncer")
    if forced is not None:
        return forced
    if "TEST_DATABASE_URL" in os.environ:
        return "url"
    return "container" if engine_answers() else "embedded"


def describe(kind: str) -> str:
    """Describe a kind of Postgres for the header of a test run."""
    return {
        "url": "Postgres of TEST_DATABASE_URL",
        "container": f"Postgres in a container ({IMAGE})",
        "embedded": "the embedded Postgres",
        "pgbouncer": f"the embedded Postgres, through {pgbouncer.version()}",
    }[kind]


def engine_answers() -> bool:
    """Whether there is a container engine."""
    # Docker's own client leaks its socket when there is no answer, and a leak fails the test that happens to be running
    address = urlsplit(os.environ.get("DOCKER_HOST") or ENGINE)
    try:
        match address.scheme:
            case "unix":
                with socket.socket(socket.AF_UNIX) as engine:
                    engine.settimeout(5)
                    engine.connect(address.path)
            case "tcp" | "http" | "https":
                socket.create_connection((address.hostname, address.port or 2375), timeout=5).close()
    except OSError:
        return False
    return True


_POOLER: list[str] = []
"""The socket folder of the PgBouncer that this run tests, if it does."""


@contextmanager
def running(kind: str) -> Iterator["Server"]:
    """Run a server of this kind for the duration of the block."""
    match kind:
        case "url":
            yield Server(os.environ["TEST_DATABASE_URL"])
        case "container":
            with container(IMAGE) as url:
                yield Server(url)
        case "pgbouncer":
            with temporary(_memory()) as postgres, pgbouncer.pooling(postgres.url()) as pooler:
                _POOLER.append(pooler)
                yield Server(postgres.url())
                _POOLER.clear()
        case _:
            with temporary(_memory()) as postgres:
                yield Server(postgres.url())


def settings_for(database_url: str) -> Mapping[str, object]:
    """Return the settings with which a service uses a database: directly, or through PgBouncer if that is tested."""
    if not _POOLER:
        return {"DATABASE_URL": database_url}
    return {"DATABASE_URL": pgbouncer.through(_POOLER[0], database_url), "DATABASE_STATEMENT_CACHE": 0}


def _memory() -> Path | None:
    # creating a database creates 300 files, which takes half as long in memory
    memory = Path("/dev/shm")  # noqa: S108  the folder inside has a random name
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return memory
    return None


@contextmanager
def container(image: str) -> Iterator[str]:
    """Run a Postgres in a container for the duration of the block, and yield the URL of a superuser."""
    # imported late: the other kinds need neither package
    from docker.errors import DockerException  # noqa: PLC0415
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    try:
        container = PostgresContainer(image, driver=None, password=uuid4().hex)
        container.with_command("postgres -c fsync=off -c full_page_writes=off").start()
    except DockerException as error:
        pytest.exit(
            f"could not start Postgres in a container: {error}\nTEST_DATABASE=embedded runs without one. If only"
            " testcontainers' reaper image is missing, set TESTCONTAINERS_RYUK_DISABLED=true",
            returncode=1,
        )
    try:
        yield container.get_connection_url()
    finally:
        container.stop()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open a service's database the way another replica would, without migrating it."""
    database = Database(url, connections=2, statement_cache=100, migrations=[], migrate=False)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class Server:
    """A Postgres server and a user on it who may create databases."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{uuid4().hex}"
        await self._execute(f"CREATE DATABASE {name} STRATEGY FILE_COPY")  # faster, as nothing is synced
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    async def drop_database(self, url: str) -> None:
        """Drop a database even if it is in use, which looks to its service as if the server were gone."""
        await self._execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path.lstrip('/')} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
