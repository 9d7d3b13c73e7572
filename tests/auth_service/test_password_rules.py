"""Which passwords are accepted."""

import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_service import password_rules
from auth_service.password_rules import MAX_LENGTH, normalized
from auth_service.schemas import Confirmation
from tests.api_client import auth_app, new_email
from tests.auth_service.alone import Auth, alone, says, tokens_of
from tests.postgres import Server


@pytest.fixture(scope="module")
async def short(database_server: Server, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with a minimum password length of eight."""
    database_url = await database_server.create_database()
    async with alone(database_url, keyring_file, password_min_length=8, allow_short_passwords=True) as auth:
        yield auth
    await database_server.drop_database(database_url)


def codes(password: str, *, min_length: int = 8, email: str = "ada@example.org", name: str = "Ada") -> list[str]:
    """The codes of the rules that a password breaks."""
    found = password_rules.faults(
        normalized(password), min_length=min_length, email=email, name=name, pointer="/password"
    )
    return [fault.code for fault in found]


@pytest.mark.parametrize(
    "password",
    [
        "ferns whistle behind nine teapots",
        "only small letters and no digit",
        "        fifteen blanks and more",
        "密碼要夠長才不容易被別人猜中喔",
        "🦉🐝🌵🎻🧦🪁🦔🍋🚲🧲🪴🐙🎈🥨🛶",
        "ßxſqßvſkßzſwßjſy",
        "line\nbreak and\ttab are characters too",
        "\u202e backwards is fine too",
    ],
)
async def test_length_is_what_makes_a_password(auth: Auth, password: str) -> None:
    """Any characters, of any script, in any composition, are good if there are enough of them in no pattern."""
    email = new_email()
    assert (await auth.register(email, password)).status == 201
    assert (await auth.login(email, password)).status == 200


@pytest.mark.parametrize("minimum", [8, 15, 128])
def test_the_minimum_length_is_a_setting(minimum: int) -> None:
    """PASSWORD_MIN_LENGTH sets the minimum length, counted after Unicode composition."""
    text = "".join(chr(0x4E00 + number) for number in range(minimum))
    assert codes(text, min_length=minimum) == []
    assert codes(text[:-1], min_length=minimum) == ["password_too_short"]
    assert codes(text[:-2] + "e\u0301", min_length=minimum) == ["password_too_short"]


async def test_fifteen_by_default(auth: Auth) -> None:
    """The default minimum is 15 characters; the error gives the minimum and the length that was sent."""
    assert (await auth.register(new_email(), "fifteen chars !")).status == 201
    reply = await auth.register(new_email(), "fourteen chars")
    assert says(reply) == (422, "validation_failed")
    [error] = reply.body["errors"]
    assert (error["pointer"], error["code"]) == ("/password", "password_too_short")
    assert "at least 15 characters; 14 were sent" in error["message"]


@pytest.mark.parametrize("minimum", [7, 0, -1, 129])
def test_a_minimum_below_eight_is_refused(minimum: int, keyring_file: Path) -> None:
    """PASSWORD_MIN_LENGTH can't be below 8 or above 128."""
    with pytest.raises(ValueError, match="PASSWORD_MIN_LENGTH"):
        auth_app(
            "postgresql://nobody@localhost/nothing",
            keyring_file,
            password_min_length=minimum,
            allow_short_passwords=True,
        )


async def test_256_characters_are_accepted_and_no_more(auth: Auth) -> None:
    """All of 256 four-byte characters count, and 257 are too many. They are counted after composition."""
    email = new_email()
    longest = "".join(chr(0x1F300 + number * number % 257) for number in range(256))
    assert (await auth.register(email, longest)).status == 201
    assert (await auth.login(email, longest)).status == 200
    assert (await auth.login(email, longest[:-1] + "x")).status == 401
    reply = await auth.register(new_email(), "x" * 257)
    assert [error["code"] for error in reply.body["errors"]] == ["too_long"]
    # U+FB2C is three characters in NFC
    reply = await auth.register(new_email(), "\ufb2c" + "x" * 255)
    [error] = reply.body["errors"]
    assert (error["code"], error["message"]) == ("too_long", "it must have at most 256 characters; 258 were sent")


async def test_the_longest_password_is_the_same_from_every_keyboard(auth: Auth) -> None:
    """A password of 256 characters can be sent decomposed, four code points to a character, to every route."""
    email, composed = new_email(), "".join(chr(0x1F82 + number * number // 3 % 4) for number in range(256))
    decomposed = unicodedata.normalize("NFD", composed)
    assert len(decomposed) == 4 * MAX_LENGTH
    assert (await auth.register(email, decomposed)).status == 201
    for password in (composed, decomposed):
        token = (await auth.sign_in(email, password)).account
    change = {"current_password": decomposed, "new_password": decomposed}
    token = tokens_of(await auth.ask("POST", "/me/password", change, token)).account
    assert (await auth.ask("DELETE", "/me", {"password": decomposed}, token)).status == 204


@pytest.mark.parametrize("password", ["nul \0 inside the passphrase", "lone \ud800 inside", "\udfff" * 20])
@pytest.mark.parametrize(
    ("path", "fields"),
    [("/register", ("email", "password", "name")), ("/login", ("email", "password"))],
)
async def test_invalid_text_is_refused(auth: Auth, password: str, path: str, fields: tuple[str, ...]) -> None:
    """NUL and lone surrogates get 422 wherever a password is sent."""
    given = {"email": new_email(), "password": password, "name": "Ada"}
    reply = await auth.ask("POST", path, {name: given[name] for name in fields})
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [("/password", "text_refused")]


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PASSWORD",
        "Baseball",
        "12345678",
        "qwertyuiop",
        "1qaz2wsx3edc4rfv",
        "123456789987654321",
        "aaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "abcabcabcabcabc",
        "qwerqwerqwerqwer",
        "🦉" * 20,
        "\n" * 16,
        "a\nb\n" * 4,
        "passwordpassword",
        "PasswordpasswordPASSWORD",
        "dragondragondragon",
    ],
)
async def test_common_passwords_are_refused(short: Auth, password: str) -> None:
    """A password from the list, or something short or common repeated, is refused as common, in upper or lower case."""
    reply = await short.register(new_email(), password, name="Somebody Else")
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [("/password", "password_common")]


def test_the_list_is_long_enough() -> None:
    """The list has at least 10,000 common passwords."""
    assert len(password_rules._COMMON) >= 10_000


@pytest.mark.parametrize("password", ["passwordpasswordx", "abcdeabcdeabcde", "dragon battery", "qwer1234tyui5678"])
def test_a_password_that_only_resembles_a_common_one_is_accepted(password: str) -> None:
    """A common password with something added, or the repetition of a longer part, is accepted."""
    assert codes(password) == []


@pytest.mark.parametrize(
    "password",
    [
        "grace.hopper@navy-mail.com",
        "GRACE.HOPPER@NAVY-MAIL.COM",
        "gracehopper",
        "grace hopper 1906",
        "Hopper, Grace",
        "hopperhopper12",
        "Brewster Murray Hopper",
        "gracehopper!!",
        "mail.navy.grace",
    ],
)
async def test_passwords_made_from_the_account_are_refused(short: Auth, password: str) -> None:
    """A password made from the address or name, with few other characters, is refused as personal."""
    reply = await short.register("grace.hopper@navy-mail.com", password, name="Grace Brewster Murray Hopper")
    assert says(reply) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [("/password", "password_personal")]


@pytest.mark.parametrize(
    ("password", "email", "name"),
    [
        ("zoë müller 1", "someone@example.org", "Zoe\u0308 Mu\u0308ller"),
        ("müller@1234", "mu\u0308ller@example.org", "Somebody"),
        ("STRASSE strasse", "someone@example.org", "Frau Straße"),
    ],
)
def test_the_account_is_recognised_in_either_unicode_form(password: str, email: str, name: str) -> None:
    """A name or address with decomposed characters or ß is still recognised in a password."""
    assert codes(password, email=email, name=name) == ["password_personal"]


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("a graceful hopper of long fences", "Grace Hopper"),
        ("grace under pressure, always", "Grace Hopper"),
        ("ada and ada and ada again", "Ada"),
        ("ada ada ada!", "Ada"),
        ("gracexyzzy", "Grace"),
        ("gracebrewstermurrayhopperxyzzyxyz", "Grace Brewster Murray Hopper"),
        ("nothing of it at all", "Grace Hopper"),
    ],
)
def test_a_longer_password_may_contain_a_name(password: str, name: str) -> None:
    """A password with a name and enough else in it is accepted; names of three characters are ignored."""
    assert codes(password, name=name) == []


async def test_every_broken_rule_is_named_at_once(auth: Auth) -> None:
    """One answer lists every rule that the password breaks, and the faults of all other fields."""
    reply = await auth.ask("POST", "/register", {"email": "no-address", "password": "abcabc", "name": "Ada"})
    assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [
        ("/email", "email_invalid"),
        ("/password", "password_too_short"),
        ("/password", "password_common"),
    ]
    assert codes("lovelace", min_length=15, name="Ada Lovelace") == ["password_too_short", "password_personal"]
    assert codes("x" * 257) == ["too_long", "password_common"]
    assert codes("dragondragon", name="Dragon") == ["password_common"], "one reason is enough"


async def test_the_answer_does_not_repeat_the_password(short: Auth) -> None:
    """An error names the broken rule without repeating the password, which would end up in clients' logs."""
    for refused in ("qwertyuiop", "gracehopper", "zzqqj", "zzqqj" * 52):
        reply = await short.register(new_email(), refused, name="Grace Hopper")
        assert reply.status == 422
        assert refused not in str(reply.body)


@pytest.mark.slow
@given(st.text(max_size=MAX_LENGTH + 10), st.text(max_size=100), st.text(max_size=100))
def test_the_rules_work_for_any_text(password: str, email: str, name: str) -> None:
    """The rules give a verdict on any text, and refuse every password that is too short or too long."""
    found = codes(password, min_length=15, email=email, name=name)
    length = len(normalized(password))
    assert ("password_too_short" in found) == (length < 15)
    assert ("too_long" in found) == (length > MAX_LENGTH)


def test_the_rules_are_quick() -> None:
    """Even the longest, almost repetitive passwords are checked quickly, so that they can't block the event loop."""
    started = time.process_time()
    for unit in ("a", "ab", "abcde", "x" * 127 + "y", "\n"):
        text = (unit * 256)[:255] + "!"
        assert codes(text, email="c" * 250 + "@d.ee", name="f " * 50) == []
    for _ in range(40):
        with pytest.raises(ValidationError, match="string_too_long"):
            Confirmation.model_validate({"password": "\u0300\u0316" * 4000})
    assert time.process_time() - started < 1
