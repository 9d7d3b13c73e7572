"""Fixtures for the tests of the auth service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.auth_service.alone import Auth, alone
from tests.auth_service.commands import Operator, operating
from tests.postgres import Server


@pytest.fixture(scope="session")
async def auth(database_server: Server, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a shared database; each test creates its own users and looks only at their rows."""
    database_url = await database_server.create_database()
    async with alone(database_url, keyring_file) as auth:
        yield auth
    await database_server.drop_database(database_url)


@pytest.fixture
async def own_auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a new database for each test."""
    async with alone(database_url, keyring_file) as auth:
        yield auth


@pytest.fixture(scope="session")
async def operator() -> AsyncIterator[Operator]:
    """An operator who runs the service's commands."""
    async with operating() as operator:
        yield operator
