"""The real Postgres that tests run against, and a fresh database on it for whoever asks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import docker
import pytest
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer

from dev.postgres import temporary

IMAGE = "postgres:17"
KINDS = ("url", "container", "embedded")


def choose() -> str:
    """Say which Postgres is taken: that of TEST_DATABASE_URL, else a container's, else the embedded one.

    TEST_DATABASE=embedded|container forces one.
    """
    forced = os.environ.get("TEST_DATABASE")
    if forced is not None and forced not in KINDS:
        raise pytest.UsageError(f"TEST_DATABASE is {forced!r}; it must be embedded or container")
    if forced is not None:
        return forced
    if "TEST_DATABASE_URL" in os.environ:
        return "url"
    return "container" if _engine_answers() else "embedded"


def describe(kind: str) -> str:
    """One line for the head of a test run."""
    return {
        "url": "Postgres of TEST_DATABASE_URL",
        "container": f"Postgres in a container ({IMAGE})",
        "embedded": "the embedded Postgres",
    }[kind]


def _engine_answers() -> bool:
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    client.close()
    return True


@contextmanager
def running(kind: str) -> Iterator["Server"]:
    """Run a server of this kind for as long as the block lasts."""
    match kind:
        case "url":
            yield Server(os.environ["TEST_DATABASE_URL"])
        case "container":
            with _container() as container:
                yield Server(container.get_connection_url())
        case _:
            with temporary() as postgres:
                yield Server(postgres.url())


@contextmanager
def _container() -> Iterator[PostgresContainer]:
    container = PostgresContainer(IMAGE, driver=None, password=uuid4().hex)
    try:
        container.start()
    except DockerException as error:
        pytest.exit(
            f"no Postgres in a container: {error}\nTEST_DATABASE=embedded does without one; where only testcontainers'"
            " reaper image can't be had, set TESTCONTAINERS_RYUK_DISABLED=true",
            returncode=1,
        )
    try:
        yield container
    finally:
        container.stop()


class Server:
    """A Postgres server and a user on it who may create databases."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{uuid4().hex}"
        await self._execute(f"CREATE DATABASE {name}")
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    async def drop_database(self, url: str) -> None:
        """Take a database away from under whoever is connected: for its service, this is the server gone."""
        await self._execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path.lstrip('/')} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
