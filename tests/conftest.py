"""Fixtures that many tests need: a Postgres, a keyring, the running pair, and a browser."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser

from dev.service_process import new_keyrings
from tests import postgres
from tests.api_client import Pair, auth_app, posts_app, served
from tests.browser import chromium, executable


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose a seed for Hypothesis unless one is given, so that it can be printed and the run repeated."""
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which Postgres is used, and how to repeat the random inputs."""
    return [
        f"database: {postgres.describe(postgres.choose())}",
        f"random inputs: repeat them with --hypothesis-seed={config.getoption('hypothesis_seed')}",
    ]


@pytest.fixture(scope="session")
def database_server() -> Iterator[postgres.Server]:
    """One Postgres for the whole run."""
    with postgres.running(postgres.choose()) as server:
        yield server


@pytest.fixture
async def database_url(database_server: postgres.Server) -> AsyncIterator[str]:
    """The URL of a new, empty database."""
    url = await database_server.create_database()
    yield url
    await database_server.drop_database(url)


@pytest.fixture(scope="session")
def keyring_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file with one key."""
    file = tmp_path_factory.mktemp("keys") / "keyring.json"
    new_keyrings(file)
    return file


@pytest.fixture(scope="session")
async def pair(database_server: postgres.Server, keyring_file: Path) -> AsyncIterator[Pair]:
    """Both services on real sockets, each with its own database. Tests share the pair and sign up their own users."""
    auth_database, posts_database = await database_server.create_database(), await database_server.create_database()
    async with (
        served(auth_app(auth_database, keyring_file)) as auth,
        served(posts_app(posts_database, keyring_file)) as posts,
        ClientSession() as http,
    ):
        yield Pair(auth, posts, http)
    await database_server.drop_database(auth_database)
    await database_server.drop_database(posts_database)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole run."""
    path = executable()
    if path is None:
        pytest.fail("no Chromium to look at pages with: apt install chromium, or set CHROMIUM", pytrace=False)
    async with chromium(path) as running:
        yield running
