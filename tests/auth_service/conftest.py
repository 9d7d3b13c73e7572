"""What tests of the auth service need beyond what all need."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.auth_service.alone import Auth, alone
from tests.auth_service.commands import Operator, operating
from tests.postgres import Server


@pytest.fixture(scope="session")
async def auth(database_server: Server, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a database that tests share: each has users of its own, and looks at their rows alone."""
    database_url = await database_server.create_database()
    async with alone(database_url, keyring_file) as auth:
        yield auth
    await database_server.drop_database(database_url)


@pytest.fixture
async def own_auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a database of the test's own."""
    async with alone(database_url, keyring_file) as auth:
        yield auth


@pytest.fixture(scope="session")
async def operator() -> AsyncIterator[Operator]:
    """Somebody who runs the service's commands."""
    async with operating() as operator:
        yield operator
