"""A real browser: the Chromium installed on this machine."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """The path of Chromium, from the variable CHROMIUM or else from PATH; None if there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    """Run a headless browser for the duration of the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        await browser.close()
