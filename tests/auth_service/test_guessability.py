"""How many guesses a new password must withstand."""

import asyncio
import random
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service import guessability
from auth_service.guessability import LONGEST_SEEN, SUFFICIENT, UNKNOWN, Estimate, estimate, required
from auth_service.schemas import Login
from auth_service.throttle import REGISTRATIONS
from dev.instructions import curl_commands
from tests.api_client import PASSWORD, new_address, new_email
from tests.auth_service.alone import Auth, says

ROOT = Path(__file__).parent.parent.parent
WORDS = ["auth", "posts", "grace.hopper@navy-mail.com", "Grace Brewster Hopper"]
EXAMPLE = "ferns whistle behind nine teapots"
GUESSABLE = [
    "1234567890123456",
    "qwertyuiopasdfgh",
    "passwordpassword1",
    "password1234567",
    "Password12345678!",
    "P@ssw0rdP@ssw0rd!",
    "abcdefghijklmnop",
    "summer2024summer2024!",
    "aaaaaaaaaaaaaaab",
    "!@#$%^&*()_+{}|",
    "2024-11-24 2024",
    "password1" * 6 + "pass",
    "qwertyuiop" * 20 + "!",
    "密碼很長很長很長很長很長很長很長",
]
SIGNS = "4@8({[<369!1|/0$5+7%2"
"""The characters that zxcvbn also reads as letters; it tries every combination."""


@pytest.mark.parametrize("password", GUESSABLE)
async def test_what_only_looks_long_is_refused(auth: Auth, password: str) -> None:
    """A password of 15 characters and more that takes few guesses is refused, with the figures and the next step."""
    reply = await auth.register(new_email(), password, name="Somebody Else")
    assert says(reply) == (422, "validation_failed")
    [error] = reply.body["errors"]
    assert (error["pointer"], error["code"]) == ("/password", "password_guessable")
    assert re.fullmatch(
        r"it takes about [\d,]+ guesses, and at least 10,000,000,000 are required: [^;]+; add a few unrelated words",
        error["message"],
    )
    assert password not in str(reply.body)


@pytest.mark.parametrize(
    ("password", "weakness"),
    [
        ("1234567890123456", "a common password"),
        ("passwordpassword1", "the same thing over and over"),
        ("abcdefghijklmnop", "a sequence"),
        ("zse4rfvgy7ujmko0", "a row of keys"),
        ("responsibilities", "one common word"),
        ("2024-11-24 2024", "a date"),
        ("ecargecargecarg1", "the same thing"),
        ("hopper xkqjz grace", "it is too short"),
    ],
)
def test_what_makes_it_guessable_is_said(password: str, weakness: str) -> None:
    """The longest part of the password that fits a pattern gives the reason."""
    found = estimate(password, WORDS)
    assert found.guesses < SUFFICIENT
    assert weakness in found.weakness


@pytest.mark.parametrize(
    "password",
    [
        "authauthpostsposts",
        "posts-service-2024",
        "Grace-Hopper-auth-2024",
        "hopper1906 navy-mail",
        "grace.posts.brewster1",
        "AUTH grace AUTH hopper",
    ],
)
async def test_words_of_the_service_and_of_the_account_count_for_nothing(auth: Auth, password: str) -> None:
    """What is left without the service's names, the address and the name must withstand the guesses by itself."""
    email = "grace.hopper@navy-mail.com"
    reply = await auth.register(email, password, name="Grace Brewster Hopper")
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [("/password", "password_personal")]


def test_such_words_may_be_in_a_good_password() -> None:
    """A password that is good without them is good with them."""
    for password in ("a graceful hopper of long fences", "nobody posts letters with turnips"):
        assert estimate(password, WORDS).guesses >= SUFFICIENT


async def test_every_way_to_set_a_password_asks(auth: Auth) -> None:
    """A change of password is refused like a registration, once the current password was right."""
    member = await auth.join()
    for current, expected in (
        ("a wrong passphrase", (403, "password_wrong")),
        ("a long enough passphrase", (422, "validation_failed")),
    ):
        change = {"current_password": current, "new_password": "qwertyuiopasdfgh"}
        reply = await auth.ask("POST", "/me/password", change, member.tokens.account)
        assert says(reply) == expected
    assert [(fault["pointer"], fault["code"]) for fault in reply.body["errors"]] == [
        ("/new_password", "password_guessable")
    ]


@pytest.mark.slow
async def test_nobody_computes_estimates_past_the_throttle(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused password counts as a registration of its network; after so many, none is estimated."""
    seen = list[str]()

    def noted(password: str, words: Iterable[str]) -> Estimate:
        seen.append(password)
        return estimate(password, words)

    monkeypatch.setattr(guessability, "estimate", noted)
    headers = {"X-Forwarded-For": new_address()}
    body = {"email": new_email(), "password": "qwertyuiopasdfgh", "name": "Ada"}
    for _ in range(REGISTRATIONS[0].failures):
        assert (await auth.ask("POST", "/register", body, headers=headers)).status == 422
    assert len(seen) == REGISTRATIONS[0].failures
    assert (await auth.ask("POST", "/register", body, headers=headers)).status == 429
    for cheap in ("short", "passwordpassword", "x" * 256, "x" * 257):
        await auth.ask("POST", "/register", {**body, "password": cheap})
    assert len(seen) == REGISTRATIONS[0].failures


@pytest.mark.slow
async def test_the_event_loop_goes_on_during_an_estimate(auth: Auth) -> None:
    """While the dearest passwords are estimated, the service answers others within a fraction of a second."""
    random_signs = random.Random(3)  # noqa: S311  no secret
    passwords = ["".join(random_signs.choices(SIGNS + "aeios", k=256)) for _ in range(10)]
    registering = [asyncio.create_task(auth.register(new_email(), password)) for password in passwords]
    longest = 0.0
    while not all(task.done() for task in registering):
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - started)
    assert {(await task).status for task in registering} == {201}
    assert longest < 0.5


@pytest.mark.slow
def test_no_password_takes_long() -> None:
    """The estimate of any password takes less than half a second, even if every character stands for a letter."""
    choose = random.Random(7)  # noqa: S311  no secret
    passwords = ["a" * 255 + "b", ("ab" * 128)[:-1] + "c", (SIGNS * 13)[:256], "01/02/1999" * 25, "İ" * 256, "ﬃ" * 256]
    for _ in range(40):
        alphabet = choose.choices(SIGNS + "abcdeio01234 ", k=choose.randint(2, 30))
        passwords.append("".join(choose.choices(alphabet, k=256)))
    for password in passwords:
        started = time.process_time()
        estimate(password, WORDS)
        assert time.process_time() - started < 0.5, password


def test_what_comes_after_the_part_that_is_seen_makes_no_password_weaker() -> None:
    """A password with a good beginning is good."""
    assert estimate(EXAMPLE + "a" * 200, WORDS).guesses >= SUFFICIENT
    assert len(EXAMPLE) < LONGEST_SEEN


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.text(max_size=50), max_size=4))
def test_every_text_has_an_estimate(password: str, words: list[str]) -> None:
    """Whatever the password and the words are, there is a figure and a reason."""
    found = estimate(password, words)
    assert found.guesses >= 1
    assert found.weakness


LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
LIKE_DATES = st.text(st.sampled_from("0123456789-/. " + LINE_BREAKS), min_size=1, max_size=12)


@settings(deadline=None, max_examples=1000)
@given(
    st.lists(LIKE_DATES | st.text(st.characters(categories=["Cc", "Zs", "Zl", "Zp", "Nd"]), max_size=8)).map("".join)
)
def test_control_characters_stop_no_estimate(password: str) -> None:
    """Line breaks among figures, where zxcvbn looks for dates, have an estimate like any other text."""
    assert estimate(password, WORDS).weakness != UNKNOWN


@pytest.mark.parametrize("password", ["11199\nabcdefghijklm", "ferns 20241\n whistle behind"])
async def test_a_password_with_line_breaks_is_like_any_other(auth: Auth, password: str) -> None:
    """A line break may be in a password, in front of whatever; a change of password, too, gets an answer."""
    member = await auth.join()
    assert (await auth.register(new_email(), password)).status in (201, 422)
    change = {"current_password": PASSWORD, "new_password": password}
    assert (await auth.ask("POST", "/me/password", change, member.tokens.account)).status in (200, 422)


async def test_a_password_without_an_estimate_is_refused(
    auth: Auth, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If zxcvbn fails, the answer says what to do, and the log says why, but not the password."""

    def fail(password: str, *_: object, **__: object) -> NoReturn:
        raise IndexError(password)

    monkeypatch.setattr(guessability, "zxcvbn", fail)
    reply = await auth.register(new_email(), EXAMPLE)
    assert says(reply) == (422, "validation_failed")
    [error] = reply.body["errors"]
    assert (error["pointer"], error["code"]) == ("/password", "password_guessable")
    assert error["message"] == "how many guesses it takes can't be estimated; choose another"
    assert "zxcvbn failed: IndexError" in caplog.text
    assert EXAMPLE not in str(reply.body) + caplog.text


@pytest.mark.parametrize("minimum", [8, 9, 10, 15, 128])
def test_a_random_password_of_the_shortest_length_is_good(minimum: int) -> None:
    """Where short passwords are permitted, random ones of that length are accepted; with 10 and more, 10^10."""
    assert required(minimum) == min(SUFFICIENT, 10**minimum)
    assert estimate("xkqjzvbwpmhtgfyc"[:minimum], WORDS).guesses >= required(min(minimum, 16))


def test_the_example_of_the_documents_is_good() -> None:
    """One passphrase is the example everywhere, and the service would accept it from that very account."""
    for text in (
        (ROOT / "README.md").read_text(encoding="utf-8"),
        curl_commands("http://a", "http://b"),
        str(Login.model_json_schema()),
    ):
        assert EXAMPLE in text
    assert estimate(EXAMPLE, [*WORDS, "ada@example.com", "Ada"]).guesses > SUFFICIENT**2


def test_the_famous_example_stands_nowhere() -> None:
    """No document shows the passphrase that everyone knows."""
    famous = "correct horse battery staple"
    for folder in ("auth_service", "console", "dev", "docs"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".js", ".md", ".html"):
                assert famous not in file.read_text(encoding="utf-8"), file
    assert famous not in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_generated_passwords_are_always_good() -> None:
    """Passwords as the console generates them are far from the limit, whatever the syllables are."""
    source = (ROOT / "console" / "page" / "step_sign_in.js").read_text(encoding="utf-8")
    consonants, vowels = re.findall(r'"([a-z]+)"\[[^\]]*byte', source)
    assert (len(consonants), len(vowels)) == (16, 4)
    choose = random.Random(11)  # noqa: S311  no secret
    for _ in range(500):
        syllables = [choose.choice(consonants) + choose.choice(vowels) for _ in range(10)]
        password = "-".join(syllables[at] + syllables[at + 1] for at in range(0, 10, 2))
        assert estimate(password, ["auth", "posts", "ada-16777215@example.com", "Ada"]).guesses > SUFFICIENT, password
