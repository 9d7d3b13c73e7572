"""Step 4, Break it: each kind of forgery is sent to the real service, and its check is the one that it names.

What `make run` signs for it is sent by tests/dev/test_newcomer.py.
"""

import pytest
from playwright.async_api import Browser, Route, expect

from tests.console.screen import Screen, screen
from tests.console.stage import Stage

KINDS = {
    "payload": (8, "token_signature_invalid", 1),
    "flip": (8, "token_signature_invalid", 1),
    "none": (7, "token_algorithm_refused", 1),
    "own-key": (8, "token_signature_invalid", 2),
    "kid": (6, "token_key_unknown", 1),
    "typ": (5, "token_type_wrong", 1),
    "crit": (4, "token_header_refused", 1),
    "cut": (2, "token_malformed", 0),
    "spare": (2, "token_malformed", 1),
    "huge": (1, "token_too_large", 1),
}
"""Of each kind the check, the code, and in how many segments something is marked as other than in the good token."""


async def test_every_forgery_names_its_check(shown: Screen) -> None:
    """Each kind is refused at the check that it is made for, before the database; the untouched token passes all."""
    await shown.register()
    kinds = [await kind.get_attribute("value") for kind in await shown["input[name=kind]"].all()]
    assert kinds == [*KINDS, "untouched"]
    for kind, (check, code, marks) in KINDS.items():
        await shown.forge(kind)
        await shown.expect_refused(check, code)
        await expect(shown["#forged-text mark"]).to_have_count(marks)
    await shown.forge("untouched")
    await expect(shown["#forged-answer .status"]).to_have_text("200 OK")
    assert await shown.states() == ["passed"] * 13
    await expect(shown["[data-fact='posts’ Postgres']"]).to_have_text("asked")
    assert await shown["#forged-text mark"].count() == 0


async def test_what_is_typed_into_the_payload_is_what_is_sent(shown: Screen) -> None:
    """The editor decides: the same JSON is the same token, other JSON and no JSON are refused by the signature."""
    await shown.register()
    text = await shown["#payload"].input_value()
    assert "users:admin" in text
    await shown["#payload"].fill(text.replace(" users:admin", ""))
    await shown.send()
    assert await shown.states() == ["passed"] * 13
    await shown["#payload"].fill("no JSON at all: é")
    await expect(shown["#forged-answer"]).to_be_empty()
    await shown.send()
    await shown.expect_refused(8, "token_signature_invalid")
    await shown["#reset"].click()
    await expect(shown["#payload"]).to_have_value(text)


async def test_without_a_gallery_the_page_says_why(shown: Screen) -> None:
    """What must be well signed can't be shown by a page without a key, and the page says so."""
    await expect(shown["#no-gallery"]).to_contain_text("GALLERY_FILE")
    await expect(shown["#no-gallery"]).to_be_visible()


async def test_without_webcrypto_the_page_says_why(browser: Browser, stand: Stage) -> None:
    """Where the browser has no WebCrypto, a key of one's own can't be made, and the page says where it could."""
    async with screen(browser) as shown:
        await shown.page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
        await shown.open(stand.console)
        await shown.register()
        await shown.choose("own-key")
        await expect(shown["#forged-text"]).to_contain_text("secure contexts only")
        await expect(shown["#send"]).to_be_disabled()
        await shown.choose("flip")
        await expect(shown["#send"]).to_be_enabled()


@pytest.mark.parametrize("status", [503, 200])
async def test_nothing_is_guessed(shown: Screen, status: int) -> None:
    """An answer that names no check ticks none, unless the token was accepted; an odd number is not believed."""
    await shown.register()

    async def answer(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
        body = '{"code": "busy", "detail": "No.", "check": 99}'
        await route.fulfill(status=status, headers=headers, body=body)

    await shown.page.route("**/posts?limit=1", answer)
    await shown.send()
    assert await shown.states() == ["passed" if status == 200 else "untried"] * 13
