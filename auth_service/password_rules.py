"""Which new passwords are taken, after NIST SP 800-63B-4 section 3.1.1.2: length and a blocklist, no composition."""

import re
import unicodedata
from collections.abc import Iterator

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from shared.errors import Fault

MAX_LENGTH = 256
"""Characters, counted in NFC. A password goes through SHA-256 before bcrypt, so nothing is cut off at 72 bytes."""

_COMMON = frozenset(FREQUENCY_LISTS["passwords"])
"""Some 30,000 passwords in the order in which leaks have them; the order does not matter here."""

_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_SHORTEST_PART = 4
"""Characters of a name or an address that make a password guessable; shorter ones stand in any sentence."""


def normalised(password: str) -> str:
    """NFC, so that a password is the same from every keyboard."""
    return unicodedata.normalize("NFC", password)


def faults(password: str, *, min_length: int, email: str, name: str, pointer: str) -> Iterator[Fault]:
    """Say which rules a normalised password breaks; none, if it is good.

    Args:
        password: The password.
        min_length: Fewest characters.
        email: The account's address.
        name: The account's name.
        pointer: Where in the body it stands.
    """
    if len(password) < min_length:
        yield Fault(
            pointer,
            "password_too_short",
            f"it needs at least {min_length} characters; {len(password)} were sent",
        )
    if len(password) > MAX_LENGTH:
        yield Fault(pointer, "too_long", f"it may have at most {MAX_LENGTH} characters; {len(password)} were sent")
    plain = password.casefold()
    if _is_common(plain):
        yield Fault(pointer, "password_common", "it is one of those that everybody tries first; take another")
    elif _is_made_of(plain, email, name):
        yield Fault(pointer, "password_personal", "it is made of the address or the name; take another")


def _is_common(plain: str) -> bool:
    """On the list, or something short or common written over and over."""
    repeated = _REPEATED.fullmatch(plain)
    unit = repeated[1] if repeated else plain
    return plain in _COMMON or (repeated is not None and (len(unit) <= _SHORTEST_PART or unit in _COMMON))


def _is_made_of(plain: str, email: str, name: str) -> bool:
    """Nothing is left but a few characters once address, its parts, and the parts of the name are taken out."""
    rest = plain
    parts = {email, *re.split(r"[@.+_-]", email), name, *name.split()}
    for part in sorted((normalised(part).casefold() for part in parts), key=len, reverse=True):
        if len(part) >= _SHORTEST_PART:
            rest = rest.replace(part, "")
    return rest != plain and len(rest) < _SHORTEST_PART * 2 and len(rest) < len(plain) / 2
