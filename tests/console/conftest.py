"""Fixtures: both services with the console, and the page in a browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.console.screen import Screen, screen
from tests.console.stage import Stage, stage
from tests.postgres import Server


@pytest.fixture(scope="session")
async def stand(database_server: Server, keyring_file: Path) -> AsyncIterator[Stage]:
    """Serve both services and the console. Tests share them, so each registers its own users."""
    async with stage(database_server, keyring_file) as made:
        yield made


@pytest.fixture
async def shown(browser: Browser, stand: Stage) -> AsyncIterator[Screen]:
    """Open the page."""
    async with screen(browser) as made:
        await made.open(stand.console)
        yield made
