"""The page as somebody uses it, and what must never happen while they do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

expect.set_options(timeout=15_000)


class Screen:
    """One page in a context of its own.

    Args:
        page: It, not yet opened.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        # the browser says so of every 401 and of every service that is down; whether they are right, the tests say
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
        """Open the page, and wait until both services have been asked whether they are ready."""
        await self.page.goto(url)
        await expect(self["#auth-state"]).not_to_have_text("asking…")
        await expect(self["#posts-state"]).not_to_have_text("asking…")

    async def register(self) -> None:
        """One click, with what the page has filled in."""
        await self["#register"].click()
        await expect(self["#token-shown"]).to_be_visible()
        # the list is read at once, and is one more call
        await expect(self[".call-line"].filter(has_text="/posts?limit=").first).to_be_visible()

    async def write(self, title: str, body: str, tags: str = "") -> None:
        """Write a post and see it listed."""
        await self["#new-title"].fill(title)
        await self["#new-body"].fill(body)
        await self["#new-tags"].fill(tags)
        await self["#publish"].click()
        await expect(self["#posts-answer"]).to_contain_text("Written: post")
        await expect(self["#new-title"]).to_have_value("")
        await expect(self[".post h4"].first).to_have_text(title)

    async def choose(self, kind: str) -> None:
        """Choose a way to break the token, by its id or its name."""
        by_id = self[f"input[name=kind][value='{kind}']"]
        await (by_id if await by_id.count() else self.page.get_by_label(kind, exact=True)).check()

    async def send(self) -> None:
        """Send what is forged and wait for the answer."""
        before = await self[".call"].count()
        await self["#send"].click()
        await expect(self[".call"]).to_have_count(before + 1)
        await expect(self["#forged-answer h3"]).to_be_visible()

    async def forge(self, kind: str) -> None:
        """Choose and send."""
        await self.choose(kind)
        await self.send()

    async def states(self) -> list[str]:
        """What is said of the thirteen checks, in their order."""
        checks = await self[".check"].all()
        return [str(await check.get_attribute("data-state")) for check in checks]

    async def expect_refused(self, check: int, code: str) -> None:
        """See that posts refused it at this check, without its database."""
        assert await self.states() == refused_at(check)
        await expect(self["#forged-answer .status"]).to_have_text("401 Unauthorized")
        await expect(self["[data-fact=code]"]).to_have_text(code)
        await expect(self[".call-code"].first).to_have_text(code)
        await expect(self["[data-fact='WWW-Authenticate']"]).to_contain_text('error="invalid_token"')
        await expect(self["[data-fact='posts’ Postgres']"]).to_have_text("not asked")
        await expect(self["#posts-asked"]).to_have_text("not asked")


def refused_at(check: int) -> list[str]:
    """The list of checks when this one refused."""
    return ["passed"] * (check - 1) + ["failed"] + ["untried"] * (13 - check)


@asynccontextmanager
async def screen(browser: Browser, **options: Any) -> AsyncIterator[Screen]:
    """Open a context, and at its end see that nothing went wrong unseen."""
    # an animation that is under way has colours that nobody chose
    context = await browser.new_context(reduced_motion="reduce", **options)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(15_000)
    shown = Screen(await context.new_page())
    try:
        yield shown
    finally:
        await context.close()
    assert shown.faults == []
