"""python -m tests.console.screenshots: makes the two pictures of the console that the README shows.

It starts a Postgres, both services and the console of its own, and walks the page as a newcomer does.
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
"""Pixels above and below."""

MAX_BYTES = 400_000


async def main() -> None:
    """Make both, and say how large they are."""
    path = executable()
    if path is None:
        sys.exit("make screenshots: there is no Chromium: apt install chromium, or set CHROMIUM")
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
    """Write what a window shows that is just high enough for the step with this title, with the mouse at `point`.

    With `end` it goes down to that element only.

    Raises:
        SystemExit: the picture is too large for a repository.
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
        sys.exit(f"make screenshots: {file} has {size} bytes, at most {MAX_BYTES} are wanted")
    print(f"{file.relative_to(ROOT)}: {size} bytes")


if __name__ == "__main__":
    asyncio.run(main())
