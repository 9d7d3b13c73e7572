"""The list of requests: what was sent and received, without secrets, and as a working curl command."""

import asyncio
import json
import os
import subprocess

import pytest
from playwright.async_api import expect

from tests.console.screen import Screen
from tests.console.test_posts import HOSTILE

pytestmark = pytest.mark.slow


async def copied(shown: Screen, call: int) -> str:
    """Open a request in the list, copy its curl command, and return the clipboard."""
    entry = shown[".call"].nth(call)
    await entry.locator("summary").click()
    await entry.get_by_role("button", name="Copy curl command").click()
    await expect(entry.locator(".copied")).to_have_text("Copied")
    return str(await shown.page.evaluate("navigator.clipboard.readText()"))


async def shell(line: str, **variables: str) -> bytes:
    """Run a command in sh, and return its output."""
    environment = {"PATH": os.environ["PATH"], **variables}
    running = await asyncio.create_subprocess_exec("sh", "-c", line, stdout=subprocess.PIPE, env=environment)
    output, _ = await asyncio.wait_for(running.communicate(), 30)
    assert running.returncode == 0
    return output


async def run(line: str, **variables: str) -> tuple[int, bytes]:
    """Run a curl command, and return the status and body of the response."""
    head, _, body = (await shell(line, **variables)).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_curl_command_repeats_the_request(shown: Screen) -> None:
    """A copied curl command sends what the page sent, whatever characters it contains."""
    await shown.register()
    text = f"{HOSTILE}\n'; exit 7; '\n''\n"
    await shown.write(HOSTILE, text, "a tag")
    await expect(shown[".call-line"].nth(1)).to_have_text("POST /posts")
    token = str(await shown["#token-text"].text_content())
    status, body = await run(await copied(shown, 1), TOKEN=token)
    post = json.loads(body)
    assert (status, post["title"], post["body"], post["tags"]) == (201, HOSTILE, text, ["a tag"])
    await shown[".call"].first.locator("summary").click()
    await shown[".call"].first.get_by_role("button", name="Show full tokens").click()
    await shown[".call"].first.locator("summary").click()
    status, body = await run(await copied(shown, 0))
    assert status == 200
    assert json.loads(body)["items"][0] == post


async def test_any_text_is_quoted_as_one_word(shown: Screen) -> None:
    """The shell reads any quoted text as one word, unchanged."""
    texts = ["", "'", "''", "it's", "'\\''", '$(id) `id` \\ " ! # ~ * ;\n\t&', "-x", "é\u202e\U0001f600", "a''b'"]
    quoted = await shown.page.evaluate("async (texts) => texts.map((await import('/curl.js')).quote)", texts)
    for text, word in zip(texts, quoted, strict=True):
        assert (await shell(f"printf %s {word}")).decode() == text


async def test_secrets_are_left_out(shown: Screen) -> None:
    """No request shows a password or refresh token; the curl command reads them from variables, and works."""
    email, password = await shown["#email"].input_value(), await shown["#password"].input_value()
    await shown.register()
    await shown["#refresh"].click()
    await expect(shown["#refresh-answer"]).to_contain_text("You have two new tokens")
    lines = [await copied(shown, call) for call in range(await shown[".call"].count())]
    assert password not in str(await shown["#calls"].text_content())
    assert not [line for line in lines if password in line]
    [refreshed] = [line for line in lines if "/refresh" in line]
    assert '"$REFRESH_TOKEN"' in refreshed
    [login] = [line for line in lines if "/login" in line]
    status, body = await run(login, PASSWORD=password)
    assert (status, json.loads(body)["token_type"]) == (200, "Bearer")
    assert email in login


async def test_tokens_are_shortened_until_the_user_asks(shown: Screen) -> None:
    """The Authorization header is shortened until the user presses a button to show the full token."""
    await shown.register()
    token = str(await shown["#token-text"].text_content())
    entry = shown[".call"].first
    await entry.locator("summary").click()
    request = entry.locator("pre").first
    assert token not in str(await request.text_content())
    await expect(request).to_contain_text(f"Authorization: Bearer {token[:12]}…")
    assert token not in str(await entry.text_content())
    await expect(entry.locator(".curl")).to_contain_text('"Authorization: Bearer $TOKEN"')
    await entry.get_by_role("button", name="Show full tokens").click()
    await expect(request).to_contain_text(f"Authorization: Bearer {token}")
    await entry.get_by_role("button", name="Shorten tokens").click()
    assert token not in str(await request.text_content())


async def test_signing_out_removes_tokens_from_the_list(shown: Screen) -> None:
    """After signing out, no request in the list shows a token, not even in full view."""
    await shown.register()
    token = str(await shown["#token-text"].text_content())
    await shown["#sign-out"].click()
    await expect(shown["#account-answer"]).to_contain_text("You’re signed out")
    for call in await shown[".call"].all():
        await call.locator("summary").click()
        full = call.get_by_role("button", name="Show full tokens")
        if await full.count():
            await full.click()
    assert token.rpartition(".")[2] not in str(await shown["#calls"].text_content())
    login = shown[".call"].filter(has_text="/login")
    await expect(login).to_contain_text('"refresh_token": "••••••••"')


async def test_the_list_is_bounded(shown: Screen) -> None:
    """The list keeps fifty requests, the newest first."""
    await shown.page.evaluate(
        "async () => { const { call } = await import('/api.js');"
        " for (let n = 0; n < 52; n++) await call('posts', 'GET', `/posts?limit=${n}`); }"
    )
    await expect(shown[".call"]).to_have_count(50)
    await expect(shown[".call-line"].first).to_have_text("GET /posts?limit=51")
    await expect(shown["#calls-count"]).to_have_text("the last 50 of 52")
