"""Make the two screenshots of the console for the README: python -m tests.console.screenshots.

Starts its own Postgres, services and console, and uses the page as a newcomer would.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from auth_service import keys
from dev import gallery as forgeries
from dev.service_process import ROOT
from tests import postgres
from tests.browser import chromium, executable
from tests.console.screen import Screen, screen
from tests.console.stage import stage

FOLDER = ROOT / "docs"
WIDTH = 1280
MARGIN = 20
"""Pixels above and below the section."""

MAX_BYTES = 400_000


async def main() -> None:
    """Make both screenshots, and print their sizes."""
    path = executable()
    if path is None:
        sys.exit("make screenshots: Chromium not found; install it (apt install chromium) or set CHROMIUM")
    with postgres.running(postgres.choose()) as server, tempfile.TemporaryDirectory() as folder:
        keyring, gallery = Path(folder) / "keyring.json", Path(folder) / "gallery.json"
        keys.new(keyring)
        forgeries.write(keyring, gallery, time.time())
        async with (
            stage(server, keyring, gallery=gallery) as made,
            chromium(path) as browser,
            screen(browser, viewport={"width": WIDTH, "height": 800}, color_scheme="light", locale="en-GB") as shown,
        ):
            await shown.open(made.console)
            await shown["#name"].fill("Ada")
            await shown["#email"].fill("ada@example.com")
            await shown.register()
            await shown.write("Hello", "My first post", "hello")
            await picture(shown, "token-title", "console-token.png", point=".line:has-text('scope')")
            await shown.send()
            await shown.expect_refused(8, "token_signature_invalid")
            await picture(shown, "break-title", "console-forgery.png", end=".check[data-check='8']")


async def picture(shown: Screen, title: str, name: str, point: str | None = None, end: str | None = None) -> None:
    """Save a screenshot of one section.

    Args:
        shown: The page.
        title: ID of the section's heading.
        name: File name in docs/.
        point: Element to point the mouse at.
        end: Element below which the screenshot is cut off.

    Raises:
        SystemExit: the file is too large for a repository.
    """
    step = shown[f"section[aria-labelledby={title}]"]
    height = await step.evaluate(
        "(section, end) => Math.round((end ? section.querySelector(end) : section).getBoundingClientRect().bottom"
        " - section.getBoundingClientRect().top)",
        end,
    )
    await shown.page.set_viewport_size({"width": WIDTH, "height": height + 2 * MARGIN})
    await step.evaluate("(section, margin) => scrollTo(0, section.offsetTop - margin)", MARGIN)
    if point is not None:
        await shown[point].hover()
    file = FOLDER / name
    await shown.page.screenshot(path=file)
    size = file.stat().st_size
    if size > MAX_BYTES:
        sys.exit(f"make screenshots: {file} has {size} bytes, more than {MAX_BYTES}")
    print(f"{file.relative_to(ROOT)}: {size} bytes")


if __name__ == "__main__":
    asyncio.run(main())
