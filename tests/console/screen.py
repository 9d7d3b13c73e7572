"""Use the page as a person would, and catch errors that no test looks for."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

expect.set_options(timeout=15_000)

PUBLISHED = re.compile(r"^Post \d+ published\.$")


class Screen:
    """The console's page in a browser context of its own.

    Args:
        page: A page that hasn't been opened yet.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        # the browser logs every 401 and every service that is down; the tests assert which of them they expect
        self.expected = ["Failed to load resource"]
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.context.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.faults.append(f"{message.type}: {message.text}")

    def _requested(self, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.faults.append(f"left this machine: {request.url}")

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    async def open(self, url: str) -> None:
        """Open the page, and wait until it has checked the readiness of both services."""
        await self.page.goto(url)
        await expect(self["#auth-state"]).not_to_have_text("checking…")
        await expect(self["#posts-state"]).not_to_have_text("checking…")

    async def register(self) -> None:
        """Register with the generated account."""
        await self["#register"].click()
        await expect(self["#token-shown"]).to_be_visible()
        # the page then loads the list of posts, which adds a request to the log
        await expect(self[".call-line"].filter(has_text="/posts?limit=").first).to_be_visible()

    async def write(self, title: str, body: str, tags: str = "") -> None:
        """Publish a post, and wait until it is first in the list."""
        await self["#new-title"].fill(title)
        await self["#new-body"].fill(body)
        await self["#new-tags"].fill(tags)
        await self["#publish"].click()
        await expect(self["#posts-answer"]).to_have_text(PUBLISHED)
        await expect(self["#new-title"]).to_have_value("")
        await expect(self[".post h4"].first).to_have_text(title)

    async def choose(self, kind: str) -> None:
        """Choose a forgery by its id or its name."""
        by_id = self[f"input[name=kind][value='{kind}']"]
        await (by_id if await by_id.count() else self.page.get_by_label(kind, exact=True)).check()

    async def send(self) -> None:
        """Send the forged token, and wait for the response."""
        before = await self[".call"].count()
        await self["#send"].click()
        await expect(self[".call"]).to_have_count(before + 1)
        await expect(self["#forged-answer h3"]).to_be_visible()

    async def forge(self, kind: str) -> None:
        """Choose a forgery and send it."""
        await self.choose(kind)
        await self.send()

    async def states(self) -> list[str]:
        """Return the results that the page shows for the thirteen checks."""
        checks = await self[".check"].all()
        return [str(await check.get_attribute("data-state")) for check in checks]

    async def expect_refused(self, check: int, code: str) -> None:
        """Assert that posts refused the token at this check, without querying its database."""
        assert await self.states() == refused_at(check)
        await expect(self["#forged-answer .status"]).to_have_text("401 Unauthorized")
        await expect(self["[data-fact=code]"]).to_have_text(code)
        await expect(self[".call-code"].first).to_have_text(code)
        await expect(self["[data-fact='WWW-Authenticate']"]).to_contain_text('error="invalid_token"')
        await expect(self["[data-fact=Database]"]).to_have_text("not queried")
        await expect(self["#posts-database"]).to_have_text("not queried")


def refused_at(check: int) -> list[str]:
    """Return the results of the thirteen checks if this one refuses the token."""
    return ["passed"] * (check - 1) + ["failed"] + ["untried"] * (13 - check)


@asynccontextmanager
async def screen(browser: Browser, **options: Any) -> AsyncIterator[Screen]:
    """Open a browser context. On exit, assert that the page logged no error and called no other host."""
    # in the middle of an animation, axe would measure the contrast of blended colours
    context = await browser.new_context(reduced_motion="reduce", **options)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(15_000)
    shown = Screen(await context.new_page())
    try:
        yield shown
    finally:
        await context.close()
    assert shown.faults == []
