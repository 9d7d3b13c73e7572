"""Step 4, Break it: each kind of forgery is sent to the real service, and its check is the one that it names.

What `make run` signs for it is sent by tests/dev/test_newcomer.py.
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
"""Of each kind the check, the code, and in how many segments something is marked as other than in the good token."""

UNLIKE = '{"sub":"a","iss":"auth","aud":["a,b","}"],"sub":"b","iat":2}'
OWN = '{"iss":"auth","sub":"c","aud":["a,b","}"],"iat":1,"exp":3}'
"""A name twice, commas and brackets within strings, another order, a time that is near, a member that lacks."""


def scope_and(*others: str) -> Callable[[str], list[str]]:
    """What is marked where the scope of an admin was put in."""
    return lambda scope: [f'"scope":"{scope} users:admin"', *others]


MARKED: dict[str, Callable[[str], list[str]]] = {
    "payload": scope_and(),
    "flip": lambda _: ["not the one of your token."],
    "none": lambda _: ['"alg":"none"', "empty."],
    "own-key": scope_and("not the one of your token."),
    "kid": lambda _: ['"kid":"a-key-of-mine"'],
    "typ": lambda _: ['"typ":"JWT"'],
    "crit": lambda _: ['"crit":["b64"]', '"b64":false'],
    "cut": lambda _: ["not there."],
    "spare": lambda _: ["not the one of your token."],
    "huge": lambda _: [],
}


async def test_every_forgery_names_its_check(shown: Screen) -> None:
    """Each kind is refused at the check that it is made for, before the database; the untouched token passes all."""
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
    await expect(shown["[data-fact='posts’ Postgres']"]).to_have_text("asked")
    assert await shown["#forged-text mark, #forged-decoded mark"].count() == 0
    await expect(shown["#forged-note"]).to_have_text("This is your own token, unchanged.")
    await expect(shown["#next-step"]).to_contain_text("Break it another way")


async def test_choice_token_and_verdict_are_seen_together(browser: Browser, stand: Stage) -> None:
    """After sending, nobody has to scroll to see what was chosen, what was sent and what became of it."""
    async with screen(browser, viewport={"width": 1280, "height": 900}) as shown:
        await shown.open(stand.console)
        await shown.register()
        for kind in ("payload", "spare"):
            await shown.forge(kind)
            for selector in (".kind:has(:checked)", "#forged-text mark", ".verdict"):
                await expect(shown[selector].first).to_be_in_viewport(ratio=1)


async def test_what_is_typed_into_the_payload_is_what_is_sent(shown: Screen) -> None:
    """The editor decides: the same JSON is the same token, other JSON and no JSON are refused by the signature."""
    await shown.register()
    text = await shown["#payload"].input_value()
    assert "users:admin" in text
    await shown["#payload"].fill(text.replace(" users:admin", ""))
    await expect(shown["#forged-note"]).to_have_text("This is your own token, unchanged.")
    await shown.send()
    assert await shown.states() == ["passed"] * 13
    await shown["#payload"].fill("no JSON at all: é")
    await expect(shown["#forged-answer"]).to_be_empty()
    await expect(shown["#forged-note"]).to_have_text("Not JSON: it is sent all the same.")
    await shown.send()
    await shown.expect_refused(8, "token_signature_invalid")
    await shown["#reset"].click()
    await expect(shown["#payload"]).to_have_value(text)


async def test_members_are_compared_as_they_stand(shown: Screen) -> None:
    """A name that is there twice is seen twice; of somebody else's token, what differs anyway is not marked."""
    found = await shown.page.evaluate(
        "async ([one, other]) => { const { members } = await import('/decoded.js');"
        " const { encodeText } = await import('/token.js');"
        " const found = members(encodeText(one), encodeText(other), true);"
        " return found.filter(({ differs }) => differs).map(({ text }) => text); }",
        [UNLIKE, OWN],
    )
    assert found == ['"sub":"a"', '"sub":"b"', '"exp":3']


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
