"""What the page loads from the console's server when it opens."""

import json

import pytest
from playwright.async_api import Browser, Route, expect

from tests.console.screen import screen
from tests.console.stage import Stage

pytestmark = pytest.mark.slow

CHECKS = [{"number": number, "name": f"Check {number}", "sentence": f"Rule {number}."} for number in range(1, 15)]


@pytest.mark.parametrize("file", ["config.json", "checks.json"])
@pytest.mark.parametrize("status", [None, 200, 404])
async def test_a_failed_load_is_reported(browser: Browser, stand: Stage, file: str, status: int | None) -> None:
    """If a file doesn't arrive, is an error or isn't JSON, the page says what to check."""

    async def fail(route: Route) -> None:
        if status is None:
            await route.abort()
        else:
            await route.fulfill(status=status, body="{}" if status == 404 else "<html>")

    async with screen(browser) as shown:
        await shown.page.route(f"**/{file}", fail)
        await shown.page.goto(stand.console)
        await expect(shown["#load-failed"]).to_contain_text("Check that the server is running, then reload the page.")
        await expect(shown["#load-failed"]).to_be_visible()


async def test_the_checks_come_from_the_server(browser: Browser, stand: Stage) -> None:
    """The page has no list of checks of its own: names, sentences and number come from checks.json."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=200, body=json.dumps(CHECKS))

    async with screen(browser) as shown:
        await shown.page.route("**/checks.json", answer)
        await shown.open(stand.console)
        await shown.register()
        await shown.send()
        await expect(shown[".verdict h3"]).to_have_text("Refused at check 8 of 14: Check 8")
        await expect(shown["#next-step"]).to_contain_text("at check 8 of 14")
        assert await shown[".check .what"].all_text_contents() == [
            f"{each['name']} {each['sentence']}" for each in CHECKS
        ]
