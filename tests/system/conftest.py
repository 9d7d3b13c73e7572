"""Fixtures for tests of the whole system."""

from collections.abc import AsyncIterator

import pytest

from tests.postgres import Server


@pytest.fixture
async def databases(database_server: Server) -> AsyncIterator[tuple[str, str]]:
    """An empty database for each service."""
    auth, posts = await database_server.create_database(), await database_server.create_database()
    yield auth, posts
    await database_server.drop_database(auth)
    await database_server.drop_database(posts)
