"""Which new passwords are accepted, after NIST SP 800-63B-4 section 3.1.1.2: length and a blocklist, no composition."""

import re
import unicodedata
from collections.abc import Iterator

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from shared.errors import Fault

MAX_LENGTH = 256
"""Characters, counted in NFC. A password goes through SHA-256 before bcrypt, so nothing is cut off at 72 bytes."""

_COMMON = frozenset(FREQUENCY_LISTS["passwords"])
"""About 30,000 passwords from leaks."""

_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_SHORTEST_PART = 4
"""Characters of a name or an address that make a password guessable; shorter parts occur in any sentence."""


def normalized(password: str) -> str:
    """Return the password in NFC, so that it is the same from every keyboard."""
    return unicodedata.normalize("NFC", password)


def faults(password: str, *, min_length: int, email: str, name: str, pointer: str) -> Iterator[Fault]:
    """Yield the rules that a normalized password breaks.

    Args:
        password: The password.
        min_length: Minimum number of characters.
        email: The account's address.
        name: The account's name.
        pointer: The password's place in the body.
    """
    if len(password) < min_length:
        yield Fault(
            pointer,
            "password_too_short",
            f"it must have at least {min_length} characters; {len(password)} were sent",
        )
    if len(password) > MAX_LENGTH:
        yield Fault(pointer, "too_long", f"it must have at most {MAX_LENGTH} characters; {len(password)} were sent")
    plain = password.casefold()
    if _is_common(plain):
        yield Fault(pointer, "password_common", "it is among the passwords that attackers try first; choose another")
    elif _is_made_of(plain, email, name):
        yield Fault(pointer, "password_personal", "it is made from the address or the name; choose another")


def _is_common(plain: str) -> bool:
    """Return whether it is on the list, or repeats something that is short or on the list."""
    repeated = _REPEATED.fullmatch(plain)
    unit = repeated[1] if repeated else plain
    return plain in _COMMON or (repeated is not None and (len(unit) <= _SHORTEST_PART or unit in _COMMON))


def _is_made_of(plain: str, email: str, name: str) -> bool:
    """Return whether only a few characters are left after removing the address, the name, and their parts."""
    rest = plain
    parts = {email, *re.split(r"[@.+_-]", email), name, *name.split()}
    for part in sorted((normalized(part).casefold() for part in parts), key=len, reverse=True):
        if len(part) >= _SHORTEST_PART:
            rest = rest.replace(part, "")
    return rest != plain and len(rest) < _SHORTEST_PART * 2 and len(rest) < len(plain) / 2
