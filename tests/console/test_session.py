"""Steps 1 and 2: signing in, the token, its expiry, and the error messages."""

import asyncio
import json
import re
import time
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from dev import service_process as processes
from shared.base64url import decode
from tests.api_client import PASSWORD, new_email
from tests.console.screen import Screen, screen
from tests.console.stage import Stage, console, stage
from tests.postgres import Server

pytestmark = pytest.mark.slow


async def sign_in(shown: Screen, email: str, password: str) -> None:
    """Fill in the form and select Sign in."""
    await shown["#email"].fill(email)
    await shown["#password"].fill(password)
    await shown["#sign-in"].click()


async def test_each_generated_account_is_new(shown: Screen) -> None:
    """Every generated account has a new email address and password, and the password is long enough."""
    seen = set()
    for _ in range(3):
        address, password = await shown["#email"].input_value(), await shown["#password"].input_value()
        assert address.endswith("@example.com")
        assert len(password) >= 15
        seen.add((address, password))
        await shown["#fill"].click()
    assert len(seen) == 3


async def test_the_password_is_hidden_until_it_is_shown(shown: Screen) -> None:
    """The password is hidden; a button shows and hides it, by keyboard too, and submitting hides it again."""
    password, button = shown["#password"], shown["#show-password"]
    await expect(password).to_have_attribute("type", "password")
    await password.focus()
    await shown.page.keyboard.press("Tab")
    await expect(button).to_be_focused()
    await expect(button).to_have_accessible_name("Show password")
    await shown.page.keyboard.press("Enter")
    await expect(password).to_have_attribute("type", "text")
    await expect(button).to_have_accessible_name("Hide password")
    await expect(shown["#token-shown"]).to_be_hidden()
    await button.click()
    await expect(password).to_have_attribute("type", "password")
    await button.click()
    await shown.register()
    await expect(password).to_have_attribute("type", "password")


async def test_password_managers_are_told_what_is_asked_for(shown: Screen) -> None:
    """Registering asks for a new password, signing in for the current one, and the address is the user name."""
    await expect(shown["#email"]).to_have_attribute("autocomplete", "username")
    await expect(shown["#password"]).to_have_attribute("autocomplete", "new-password")
    await sign_in(shown, new_email(), PASSWORD)
    await expect(shown["#account-answer"]).to_contain_text("401")
    await expect(shown["#password"]).to_have_attribute("autocomplete", "current-password")
    await shown["#fill"].click()
    await expect(shown["#password"]).to_have_attribute("autocomplete", "new-password")
    await shown.register()
    await shown["#sign-out"].click()
    await expect(shown["#password"]).to_have_attribute("autocomplete", "current-password")


async def test_each_line_of_the_token_is_explained(shown: Screen) -> None:
    """Pointing to a line, or focusing it with the keyboard, explains it."""
    await shown.register()
    lines = await shown[".line"].all()
    assert len(lines) == 3 + 9 + 1
    said = set()
    for line in lines:
        await line.focus()
        said.add(await shown["#explanation"].text_content())
    assert len(said) == len(lines)
    assert not [text for text in said if text is None or "Not one of the usual" in text]
    await shown[".line:has-text('scope')"].hover()
    await expect(shown["#explanation"]).to_contain_text("posts:moderate")


async def test_an_expired_token_shows_the_401_it_causes(
    browser: Browser, database_server: Server, keyring_file: Path
) -> None:
    """After exp and the leeway, the page sends the token to posts and shows token_expired; a refresh fixes it."""
    now = time.time()
    async with stage(database_server, keyring_file, clock=lambda: now) as made, screen(browser) as shown:
        # the page's clock is ten minutes slow, which must make no difference
        await shown.page.clock.install(time=now - 600)
        await shown.open(made.console)
        await shown.register()
        await expect(shown["#countdown"]).to_contain_text("expires in 1")

        calls = await shown[".call"].count()
        now += 903
        await shown.page.clock.fast_forward(903_000)
        await expect(shown["#countdown"]).to_contain_text("expired")
        await expect(shown["#expiry"]).to_contain_text("up to 10 s longer")
        assert await shown[".call"].count() == calls

        now += 9
        await shown.page.clock.fast_forward(9_000)
        await expect(shown["#expiry"]).to_contain_text("GET /posts → 401 Unauthorized · token_expired")
        await expect(shown["#expiry"]).to_contain_text("Check 13 of 13")
        await expect(shown["#posts-database"]).to_have_text("not queried")

        await shown["#refresh"].click()
        await expect(shown["#countdown"]).to_contain_text("expires in 1")
        await expect(shown["#expiry"]).to_be_empty()
        await shown.write("Mended", "By one button")


async def test_a_reload_signs_out(shown: Screen) -> None:
    """Both tokens are kept in memory only: nothing is stored, and a reload deletes them."""
    await shown.register()
    stored = "[localStorage.length, sessionStorage.length, document.cookie.length]"
    assert await shown.page.evaluate(stored) == [0, 0, 0]
    assert await shown.page.context.cookies() == []
    await shown.page.reload()
    await expect(shown["#token-empty"]).to_be_visible()
    await expect(shown["#account"]).to_be_visible()


async def test_signing_out_ends_the_session(shown: Screen) -> None:
    """Signing out ends the session at auth, deletes both tokens, and says that posts still accepts the access token."""
    await expect(shown["#password-note"]).to_have_text("generated for you")
    password = await shown["#password"].input_value()
    await shown.register()
    await shown["#sign-out"].click()
    await expect(shown["#account-answer"]).to_contain_text(
        "The posts service would still accept the access token until it expires"
    )
    await expect(shown["#token-text"]).to_be_hidden()
    await expect(shown[".call-line"].first).to_have_text("POST /logout")
    await expect(shown[".badge"].first).to_have_text("204")
    await expect(shown["#password-note"]).to_have_text("at least 15 characters")
    await expect(shown["#account .primary"]).to_have_text("Sign in")
    await shown["#password"].fill(password)
    await shown["#password"].press("Enter")
    await expect(shown["#token-shown"]).to_be_visible()


async def texts_of(shown: Screen) -> str:
    """Everything that the page holds, shown or hidden: its elements, and the values of its fields."""
    values = "[...document.querySelectorAll('input, textarea')].map((field) => field.value)"
    return str(await shown.page.evaluate(f"[document.documentElement.outerHTML, ...{values}].join(' ')"))


@pytest.mark.parametrize("ends", ["by the user", "by the service"])
async def test_the_page_forgets_the_token_and_the_password_with_the_session(shown: Screen, ends: str) -> None:
    """When the session ends, neither the token, nor a forged one, nor the password is left in the page."""
    address, password = await shown["#email"].input_value(), await shown["#password"].input_value()
    await shown.register()
    await shown["input[name=kind]"].nth(1).check()
    await shown.send()
    token = str(await shown["#token-text"].text_content())
    parts = [*token.split("."), *str(await shown["#forged-text"].text_content()).split(".")]
    subject = json.loads(decode(token.split(".")[1]))["sub"]
    holds = await texts_of(shown)
    assert parts[2] in holds
    assert subject in holds
    if ends == "by the user":
        await shown["#sign-out"].click()
    else:
        await shown.page.route("**/refresh", refuse)
        await shown["#refresh"].click()
    await expect(shown["#account"]).to_be_visible()
    await expect(shown["#account-answer"]).not_to_be_empty()
    holds = await texts_of(shown)
    assert [part for part in (*parts, password) if part and part in holds] == []
    for name in ("token-text", "token-copy", "decoded", "forged-text", "forged-decoded", "forged-facts", "forged-note"):
        await expect(shown[f"#{name}"]).to_be_empty()
    await expect(shown["#payload"]).to_have_value("")
    await expect(shown["#email"]).to_have_value(address)
    await sign_in(shown, address, password)
    await expect(shown["#token-text"]).not_to_be_empty()
    await expect(shown["#forged-text"]).not_to_be_empty()
    await shown.send()


async def refuse(route: Route) -> None:
    """Answer as auth does when a session has ended."""
    problem = {"title": "Unauthorized", "status": 401, "detail": "It has ended", "code": "refresh_token_invalid"}
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
    await route.fulfill(status=401, headers=headers, body=json.dumps(problem))


async def test_errors_say_what_to_do_next(shown: Screen) -> None:
    """A taken address, a wrong password or an invalid field gets a message that says what to do next."""
    email = await shown["#email"].input_value()
    await shown.register()
    await shown["#sign-out"].click()
    await shown["#password"].fill(PASSWORD)
    await shown["#register"].click()
    await expect(shown["#account-answer"]).to_contain_text("409 Conflict · email_taken")
    await expect(shown["#account-answer"]).to_contain_text("Sign in instead")
    await sign_in(shown, email, PASSWORD)
    await expect(shown["#account-answer"]).to_contain_text("401 Unauthorized · credentials_invalid")
    await shown["#password"].fill("too short")
    await shown["#register"].click()
    await expect(shown["#account-answer"]).to_have_text(re.compile("^422 [^:]*: [^:]*at least 15 characters[^:]*$"))
    await expect(shown["#password"]).to_have_attribute("aria-invalid", "true")
    await expect(shown["#email"]).not_to_have_attribute("aria-invalid", "true")


async def test_throttling_says_when_to_try_again(browser: Browser, database_server: Server, keyring_file: Path) -> None:
    """After too many wrong passwords, the page says how many seconds to wait."""
    async with stage(database_server, keyring_file) as made, screen(browser) as shown:
        await shown.open(made.console)
        email = new_email()
        # the first waits are so short that a slow machine may not notice them, but they double each time
        for tries in range(1, 15):
            await sign_in(shown, email, PASSWORD)
            await expect(shown[".call"]).to_have_count(tries)
            if await shown[".badge"].first.text_content() == "429":
                break
        await expect(shown["#account-answer"]).to_contain_text("429 Too Many Requests · too_many_attempts")
        await expect(shown["#account-answer"]).to_contain_text("Try again in")


async def test_a_blocked_origin_is_told_the_setting(browser: Browser, stand: Stage) -> None:
    """If the services don't allow the page's origin, the page names the setting that does."""
    elsewhere = console(stand.auth, stand.posts, processes.free_port())
    async with elsewhere as made, screen(browser) as shown:
        shown.expected.append("CORS policy")
        await shown.open(made.console)
        await expect(shown["#unavailable"]).to_contain_text("CORS_ORIGINS")
        await shown["#register"].click()
        await expect(shown["#account-answer"]).to_contain_text("CORS_ORIGINS")


async def test_a_pending_refresh_does_not_undo_a_sign_out(shown: Screen) -> None:
    """Tokens that arrive after the sign-out are dropped, and the page stays signed out."""
    await shown.register()
    gate, waiting = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        waiting.set()
        await gate.wait()
        await route.fulfill(response=answer)

    await shown.page.route("**/refresh", late)
    await shown["#refresh"].click()
    await asyncio.wait_for(waiting.wait(), 15)
    await shown["#sign-out"].click()
    await expect(shown["#account-answer"]).to_contain_text("You’re signed out")
    gate.set()
    await expect(shown[".call-line"].filter(has_text="/refresh")).to_be_visible()
    await expect(shown["#token-shown"]).to_be_hidden()
    await expect(shown["#holds"]).to_contain_text("no token")


async def test_a_refresh_whose_answer_was_lost_is_repeated_with_its_key(
    browser: Browser, database_server: Server, keyring_file: Path
) -> None:
    """After a lost answer, Refresh sends the same token and key, and gets new tokens even after the grace period."""
    async with stage(database_server, keyring_file, refresh_grace_seconds=1) as made, screen(browser) as shown:
        await shown.open(made.console)
        await shown.register()
        sent: list[tuple[str, str]] = []

        async def lose(route: Route) -> None:
            sent.append((route.request.headers["idempotency-key"], str(route.request.post_data)))
            await route.fetch()
            await route.abort()

        await shown.page.route("**/refresh", lose)
        await shown["#refresh"].click()
        await expect(shown["#refresh-answer"]).to_contain_text("No response from auth")
        await shown.page.unroute("**/refresh")
        await asyncio.sleep(1.1)  # the database's clock can't be moved from here
        for _ in range(2):
            async with shown.page.expect_request("**/refresh") as request:
                await shown["#refresh"].click()
            asked = await request.value
            sent.append((asked.headers["idempotency-key"], str(asked.post_data)))
            await expect(shown["#refresh-answer"]).to_contain_text("You have two new tokens")
            await expect(shown["#refresh"]).not_to_have_attribute("aria-disabled", "true")
        lost, again, next_one = sent
        assert again == lost
        assert next_one[0] != lost[0]
        assert next_one[1] != lost[1]


@pytest.mark.parametrize("body", ["<html>", "null", "{}", '{"access_token": "x.y.z", "refresh_token": 1}'])
async def test_an_unexpected_response_is_reported(shown: Screen, body: str) -> None:
    """A success that auth can't have sent is reported as such, and the buttons work again."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=200, headers={"Access-Control-Allow-Origin": "*"}, body=body)

    await shown.page.route("**/login", answer)
    await shown["#register"].click()
    await expect(shown["#account-answer"]).to_contain_text("unexpected response from auth")
    await expect(shown["#register"]).not_to_have_attribute("aria-disabled", "true")
    await shown.page.unroute("**/login")
    await shown["#sign-in"].click()
    await expect(shown["#token-shown"]).to_be_visible()
