"""The page is accessible: to axe, with the keyboard alone, and on a phone."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.console.screen import Screen, screen
from tests.console.stage import Stage

pytestmark = pytest.mark.slow

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


async def judge(shown: Screen, state: str) -> None:
    """Assert that no axe rule is violated and the page doesn't scroll sideways."""
    found = await shown.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    faults = [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]]
    assert faults == [], state
    assert await shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_no_violation(browser: Browser, stand: Stage, look: str) -> None:
    """No state of the page violates an axe rule or scrolls sideways: light, dark or on a phone."""
    async with screen(browser, **LOOKS[look]) as shown:
        await shown.open(stand.console)
        # evaluate bypasses the page's Content-Security-Policy, which would block a script element
        await shown.page.evaluate(f"{AXE}; undefined")
        await judge(shown, "signed out")
        await shown.register()
        await shown.write("A title", "W" * 300, "one, two")
        await judge(shown, "signed in")
        await shown[".line"].nth(4).hover()
        await shown.forge("huge")
        await shown[".call summary"].first.click()
        await shown.page.get_by_role("button", name="Show full tokens").click()
        await shown[".post"].first.get_by_role("button", name="Edit").click()
        await judge(shown, "forgery refused")
        await shown.forge("untouched")
        await shown.page.route(f"{stand.auth}/**", lambda route: route.abort())
        await expect(shown["#auth-notice"]).to_contain_text("The auth service is unavailable")
        await shown["#refresh"].click()
        await expect(shown["#refresh-answer"]).to_contain_text("No response from auth")
        await judge(shown, "auth down")


async def test_the_page_works_with_the_keyboard_alone(shown: Screen) -> None:
    """A user can get from the first Tab to a refused forgery without a mouse and without losing the focus."""
    keys = shown.page.keyboard

    async def tab_to(selector: str) -> None:
        for _ in range(60):
            await keys.press("Tab")
            assert await shown.page.evaluate("document.activeElement !== document.body")
            if await shown.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab never reaches {selector}")

    await keys.press("Tab")
    await expect(shown[".skip"]).to_be_focused()
    await keys.press("Enter")
    await tab_to("#register")
    await keys.press("Enter")
    await expect(shown["#token-title"]).to_be_focused()
    await tab_to(".line:nth-of-type(2)")
    await expect(shown["#explanation"]).to_contain_text("The ID of the key that signed the token")
    await tab_to("#new-title")
    await keys.type("By keyboard")
    await tab_to("#new-body")
    await keys.type("No mouse here")
    await tab_to("#publish")
    await keys.press("Enter")
    await expect(shown[".post h4"].first).to_have_text("By keyboard")
    await tab_to("input[name=kind]")
    await keys.press("ArrowDown")
    await expect(shown["input[value=flip]"]).to_be_checked()
    await tab_to("#send")
    await keys.press("Enter")
    await expect(shown[".verdict h3"]).to_have_text("Refused at check 8 of 13: Signature")
    await tab_to("summary")
    await keys.press("Enter")
    await expect(shown[".call pre"].first).to_contain_text("GET /posts?limit=1 HTTP/1.1")
