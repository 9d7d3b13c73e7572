"""Step 4, Break it: the real posts service refuses each forgery at the check that the page names.

tests/dev/test_newcomer.py sends the forgeries that `make run` signs with its key.
"""

from collections.abc import Callable

import pytest
from playwright.async_api import Browser, Route, expect

from tests.console.screen import Screen, screen
from tests.console.stage import Stage

pytestmark = pytest.mark.slow

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
"""For each forgery: the check, the error code and the number of segments with a highlighted change."""

UNLIKE = '{"sub":"a","iss":"auth","aud":["a,b","}"],"sub":"b","iat":2}'
OWN = '{"iss":"auth","sub":"c","aud":["a,b","}"],"iat":1,"exp":3}'
"""A duplicate name, commas and brackets in strings, another order, a small difference in time, a missing member."""


def scope_and(*others: str) -> Callable[[str], list[str]]:
    """Return a function that lists what is highlighted if the scope of a moderator was added."""
    return lambda scope: [f'"scope":"{scope} posts:moderate"', *others]


MARKED: dict[str, Callable[[str], list[str]]] = {
    "payload": scope_and(),
    "flip": lambda _: ["different from your token’s"],
    "none": lambda _: ['"alg":"none"', "empty"],
    "own-key": scope_and("different from your token’s"),
    "kid": lambda _: ['"kid":"a-key-of-mine"'],
    "typ": lambda _: ['"typ":"JWT"'],
    "crit": lambda _: ['"crit":["b64"]', '"b64":false'],
    "cut": lambda _: ["missing"],
    "spare": lambda _: ["different from your token’s"],
    "huge": lambda _: [],
}


async def test_every_forgery_names_its_check(shown: Screen) -> None:
    """Each forgery is refused at its check, before any database query; the user's own token passes every check."""
    await shown.register()
    kinds = [await kind.get_attribute("value") for kind in await shown["input[name=kind]"].all()]
    assert kinds == [*KINDS, "untouched"]
    claims = await shown.page.evaluate("async () => (await import('/session.js')).session().claims")
    for kind, (check, code, marks) in KINDS.items():
        await shown.forge(kind)
        await shown.expect_refused(check, code)
        marked = await shown["#forged-decoded mark"].all_text_contents()
        assert [text for text in marked if '"pad"' not in text] == MARKED[kind](claims["scope"]), kind
        assert len(marked) == max(1, len(MARKED[kind](claims["scope"])))
        await expect(shown["#forged-text mark"]).to_have_count(marks)
    await shown.forge("untouched")
    await expect(shown["#forged-answer .status"]).to_have_text("200 OK")
    assert await shown.states() == ["passed"] * 13
    await expect(shown["[data-fact=Database]"]).to_have_text("queried")
    assert await shown["#forged-text mark, #forged-decoded mark"].count() == 0
    await expect(shown["#forged-note"]).to_have_text("This is your own token, unchanged.")
    await expect(shown["#next-step"]).to_contain_text("Break it another way")


async def test_choice_token_and_verdict_are_seen_together(browser: Browser, stand: Stage) -> None:
    """After sending, the choice, the token and the verdict are visible without scrolling."""
    async with screen(browser, viewport={"width": 1280, "height": 900}) as shown:
        await shown.open(stand.console)
        await shown.register()
        for kind in ("payload", "spare"):
            await shown.forge(kind)
            for selector in (".kind:has(:checked)", "#forged-text mark", ".verdict"):
                await expect(shown[selector].first).to_be_in_viewport(ratio=1)


async def test_the_edited_payload_is_sent(shown: Screen) -> None:
    """The editor's text becomes the payload: an unchanged one is accepted, any other text fails the signature."""
    await shown.register()
    text = await shown["#payload"].input_value()
    assert "posts:moderate" in text
    await shown["#payload"].fill(text.replace(" posts:moderate", ""))
    await expect(shown["#forged-note"]).to_have_text("This is your own token, unchanged.")
    await shown.send()
    assert await shown.states() == ["passed"] * 13
    await shown["#payload"].fill("no JSON at all: é")
    await expect(shown["#forged-answer"]).to_be_empty()
    await expect(shown["#forged-note"]).to_have_text("This isn’t valid JSON. You can send it anyway.")
    await shown.send()
    await shown.expect_refused(8, "token_signature_invalid")
    await shown["#reset"].click()
    await expect(shown["#payload"]).to_have_value(text)


async def test_members_are_compared_one_by_one(shown: Screen) -> None:
    """A duplicate shows twice; in another user's token, claims that always differ between users are not highlighted."""
    found = await shown.page.evaluate(
        "async ([one, other]) => { const { compareMembers } = await import('/token_diff.js');"
        " const { encodeText } = await import('/jwt.js');"
        " const found = compareMembers(encodeText(one), encodeText(other), true);"
        " return found.filter(({ differs }) => differs).map(({ text }) => text); }",
        [UNLIKE, OWN],
    )
    assert found == ['"sub":"a"', '"sub":"b"', '"exp":3']


async def test_without_a_gallery_the_page_says_how_to_get_one(shown: Screen) -> None:
    """Without a gallery file, the page names the setting and the command that makes one."""
    await expect(shown["#no-gallery"]).to_contain_text("GALLERY_FILE")
    await expect(shown["#no-gallery"]).to_contain_text("make run")
    await expect(shown["#no-gallery"]).to_be_visible()


async def test_signing_out_clears_the_last_response(shown: Screen) -> None:
    """After signing out, the page no longer shows the response to a forgery."""
    await shown.register()
    await shown.send()
    await expect(shown["#forged-details"]).to_contain_text("Bearer ")
    await shown["#sign-out"].click()
    await expect(shown["#forged-details"]).to_be_empty()
    await expect(shown["#forged-answer"]).to_be_empty()


async def test_without_webcrypto_the_page_says_why(browser: Browser, stand: Stage) -> None:
    """Without WebCrypto, signing with a new key is disabled, and the page says which addresses allow it."""
    async with screen(browser) as shown:
        await shown.page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
        await shown.open(stand.console)
        await shown.register()
        await shown.choose("own-key")
        await expect(shown["#forged-text"]).to_contain_text("only in secure contexts")
        await expect(shown["#send"]).to_be_disabled()
        await shown.choose("flip")
        await expect(shown["#send"]).to_be_enabled()


@pytest.mark.parametrize("status", [503, 200])
async def test_checks_are_ticked_only_if_the_response_says_so(shown: Screen, status: int) -> None:
    """A response without a valid check number ticks no check, unless the token was accepted."""
    await shown.register()

    async def answer(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
        body = '{"code": "busy", "detail": "No.", "check": 99}'
        await route.fulfill(status=status, headers=headers, body=body)

    await shown.page.route("**/posts?limit=1", answer)
    await shown.send()
    assert await shown.states() == ["passed" if status == 200 else "untried"] * 13
