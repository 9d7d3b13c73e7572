"""Fixtures for the tests of the posts service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.api_client import Pair, posts_app, served
from tests.postgres import Server
from tests.posts_service.board import Board


@pytest.fixture(scope="session")
async def board(database_server: Server, keyring_file: Path) -> AsyncIterator[Board]:
    """Two replicas of the posts service on one database, shared by all tests. Each test uses its own users and tags."""
    database_url = await database_server.create_database()
    async with (
        served(posts_app(database_url, keyring_file)) as posts,
        served(posts_app(database_url, keyring_file)) as replica,
        ClientSession(connector=TCPConnector(limit=0)) as http,
    ):
        yield Board(Pair("", posts, http), database_url, keyring_file, replica)
    await database_server.drop_database(database_url)
