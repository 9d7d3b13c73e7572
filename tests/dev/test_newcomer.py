"""The first steps of a newcomer who knows only what `make run` prints."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.console.screen import screen
from tests.dev.runner import dev, serving
from tests.dev.test_gallery import REFUSED

pytestmark = pytest.mark.slow


async def test_from_the_printed_url_to_every_refused_token(browser: Browser, tmp_path: Path) -> None:
    """The first URL opens the console, where every token of the gallery is refused, even after auth was stopped."""
    with serving(tmp_path / "data", keep=False) as runner:
        first = re.search(r"http://\S+", "\n".join(runner.said))
        assert first is not None
        async with screen(browser) as shown:
            await shown.open(first[0])
            await expect(shown["#no-gallery"]).to_be_hidden()
            await shown.register()
            await shown.send()
            await shown.expect_refused(8, "token_signature_invalid")
            for name, (check, code) in REFUSED.items():
                await shown.forge(name)
                await shown.expect_refused(check, code)
                await expect(shown["#forged-note"]).to_have_text("Issued to “Nobody”, not to you.")
                assert await shown["#forged-decoded mark"].count() in (1, 2, 3), name
            assert (await asyncio.to_thread(dev, "stop-auth", runner.data)).returncode == 0
            await shown.write("Still here", "Nobody was asked")
            await shown.forge("Wrong audience")
            await shown.expect_refused(12, "token_audience_wrong")
