"""The /docs page in a real browser."""

import pytest
from playwright.async_api import Browser, expect

from tests.api_client import Pair
from tests.console.screen import screen
from tests.openapi.documents import ROUTES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("service", ["auth", "posts"])
async def test_every_operation_is_shown_and_can_be_tried(pair: Pair, browser: Browser, service: str) -> None:
    """The page shows all operations, loads nothing from elsewhere, and can send a request with a token."""
    path = {"auth": "/me", "posts": "/posts"}[service]
    user = await pair.sign_up()
    async with screen(browser) as shown:
        await shown.page.goto(f"{getattr(pair, service)}/docs")
        await expect(shown[".opblock"]).to_have_count(len(ROUTES[service]) + 2)
        await expect(shown.page).to_have_title(f"The {service} service")
        await shown.page.get_by_role("button", name="Authorize").first.click()
        await shown["input[aria-label=auth-bearer-value]"].fill(user.account_token if service == "auth" else user.token)
        await shown[".auth-btn-wrapper .authorize"].click()
        await shown[".auth-btn-wrapper .btn-done"].click()
        row = shown[".opblock-get"].filter(has=shown.page.locator(f"[data-path='{path}']"))
        await row.locator(".opblock-summary-control").click()
        await row.locator(".try-out__btn").click()
        await row.locator("button.execute").click()
        await expect(row.locator(".live-responses-table .response-col_status:not(.col_header)")).to_have_text("200")
