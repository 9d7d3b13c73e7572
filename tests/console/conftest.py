"""What tests of the console need: a browser, and something for it to look at."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.console.screen import Screen, screen
from tests.console.stage import Stage, chromium, executable, stage
from tests.postgres import Server


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The Chromium of this machine, one for the whole run."""
    path = executable()
    if path is None:
        pytest.fail("no Chromium to look at the console with: apt install chromium, or set CHROMIUM", pytrace=False)
    async with chromium(path) as running:
        yield running


@pytest.fixture(scope="session")
async def stand(database_server: Server, keyring_file: Path) -> AsyncIterator[Stage]:
    """A pair and a console that tests share; they register users of their own."""
    async with stage(database_server, keyring_file) as made:
        yield made


@pytest.fixture
async def shown(browser: Browser, stand: Stage) -> AsyncIterator[Screen]:
    """The page, opened."""
    async with screen(browser) as made:
        await made.open(stand.console)
        yield made
