"""Which text is accepted as the name of a person and as a title."""

import re
from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.text_validation import LINE, NAME, TITLE, fault_in_line, fault_in_name

NAMES = TypeAdapter(Annotated[str, NAME])
TITLES = TypeAdapter(Annotated[str, TITLE])

INVISIBLE = (
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200e\u200f\u2060\u2064\u206f\u2800\u3164\ufeff\uffa0\ufff9",
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\U0001d159\U0001d173\U000e0001\U000e0041",
)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda character: f"U+{ord(character):04X}")
def test_a_name_has_no_invisible_character(character: str) -> None:
    """A name with an invisible or bidirectional character is refused, and the error names it."""
    for name in (character, f"Ada{character}", f"{character}Ada", f"A{character}da"):
        assert f"U+{ord(character):04X} at position {name.index(character)}" in str(fault_in_name(name))
        with pytest.raises(ValidationError, match=f"invisible character U\\+{ord(character):04X}.*; remove that char"):
            NAMES.validate_python(name)
        assert not re.search(NAME.pattern, name)


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "Zoë Ångström",
        "علی\u200cرضا",
        "👩\u200d👩\u200d👧",
        "❤\ufe0f\u200d🔥 Ada",
        "1\ufe0f\u20e3",
        "辻\U000e0100",
        "क\u094d\u200dष",
        " Ada\u00a0Lovelace ",
    ],
)
def test_a_name_may_join_visible_characters(name: str) -> None:
    """Joiners between visible characters and a variation selector after one are kept, as is any space."""
    assert NAMES.validate_python(name) == name
    assert re.search(NAME.pattern, name)


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("\u200dAda", 0),
        ("Ada\u200d", 3),
        ("\u200c", 0),
        ("Ada \u200dB", 4),
        ("A\u200d B", 1),
        ("A\u200d\u200dB", 1),
        ("\ufe0f", 0),
        ("A\ufe0f\ufe0f", 2),
        ("A \U000e0100", 2),
    ],
)
def test_a_joiner_needs_something_to_join(name: str, position: int) -> None:
    """A joiner or a selector without a visible character beside it is refused."""
    assert str(fault_in_name(name)).endswith(f" at position {position}")
    assert not re.search(NAME.pattern, name)


@pytest.mark.parametrize("title", ["\u200b", " \u3164 ", "\u202e\u2069", "\ufe0f", "\u200d"])
def test_a_title_shows_something(title: str) -> None:
    """A title of invisible characters alone is refused; beside visible ones they are kept."""
    with pytest.raises(ValidationError, match="it shows nothing"):
        TITLES.validate_python(title)
    assert not re.search(TITLE.pattern, title)
    assert TITLES.validate_python(f"{title}a") == f"{title}a"
    assert re.search(TITLE.pattern, f"{title}a")


def test_names_of_existing_tokens_stay_valid() -> None:
    """The rule for any single line, which the verifier applies to claims, doesn't refuse invisible characters."""
    assert fault_in_line("Ada\u200b") is None
    assert TypeAdapter(Annotated[str, LINE]).validate_python("Ada\u200b") == "Ada\u200b"
