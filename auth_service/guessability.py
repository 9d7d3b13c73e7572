"""How many guesses a password takes, as zxcvbn estimates it: lists, names, keyboard rows, repeats, sequences, dates.

zxcvbn is plain Python that holds the interpreter lock, takes quadratic time, and tries every reading of characters that
stand for letters. So it sees a bounded part of the password, and it runs in a thread, one estimate at a time.
"""

import logging
import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zxcvbn import zxcvbn
from zxcvbn.matching import L33T_TABLE

from auth_service.password_rules import normalized

SUFFICIENT = 10**10
"""Guesses that a new password must withstand; docs/adr/0014-guessable-passwords.md says why this many."""

GUESSES_PER_CHARACTER = 10
"""What zxcvbn counts for a character that fits no pattern."""

LONGEST_SEEN = 64
"""Characters that zxcvbn sees. Guessing a whole password includes guessing its beginning."""

_WORK = 50_000
"""Bound of (characters seen)² × (readings of the characters that stand for letters); at most about 0.1 s."""

_SHORTEST_WORD = 3
"""Characters of a word that counts for nothing; shorter ones occur in any sentence."""

_ONE_AT_A_TIME = threading.Lock()
"""zxcvbn keeps the extra words in a global. It also leaves the interpreter lock to the event loop half of the time."""

UNKNOWN = ""
"""The weakness of a password that zxcvbn has failed on."""

_LINE_BREAKS = dict.fromkeys(map(ord, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
"""Zxcvbn sees spaces: it takes 11199 for a date with the line break that follows, and fails on that."""

_log = logging.getLogger(__name__)

_ADVICE = {
    "passwords": "most of it is a common password",
    "user_inputs": "most of it is the address, the name, or a name of this service",
    "dictionary": "most of it is one common word or name",
    "spatial": "most of it is a row of keys on the keyboard",
    "repeat": "most of it is the same thing over and over",
    "sequence": "most of it is a sequence, such as abcd or 6543",
    "regex": "most of it is a year",
    "date": "most of it is a date",
    "bruteforce": "it is too short for what it consists of",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many guesses a password takes.

    Args:
        guesses: The figure.
        weakness: What makes it so few; UNKNOWN if there is no estimate, and then the guesses are 0.
        is_personal: Whether the password has words that counted for nothing.
    """

    guesses: int
    weakness: str
    is_personal: bool


def required(min_length: int) -> int:
    """Return how many guesses a password must withstand, where this many characters are enough."""
    # more than this would refuse even random passwords of the shortest length that is allowed
    return min(SUFFICIENT, int(GUESSES_PER_CHARACTER**min_length))


def estimate(password: str, words: Iterable[str]) -> Estimate:
    """Estimate how many guesses a password takes; blocks for up to 0.1 s.

    Upper and lower case are the same, because trying both is what an attacker's program does first.

    Args:
        password: The password.
        words: What someone who attacks this account tries first: the names of the service, the address, the name. They
            and their parts count for nothing.
    """
    plain, parts = password.casefold(), _parts(words)
    rest = plain
    for part in parts:
        rest = rest.replace(part, "")
    if not rest:  # zxcvbn fails on an empty string
        return Estimate(1, _ADVICE["user_inputs"], is_personal=True)
    with _ONE_AT_A_TIME:
        try:
            # it also finds those words reversed, and with figures for letters
            found = zxcvbn(_seen(rest.translate(_LINE_BREAKS)), parts, max_length=LONGEST_SEEN)
        except Exception as error:  # noqa: BLE001  zxcvbn may raise anything; such a password is refused, not a 500
            _log.warning("zxcvbn failed: %s", type(error).__name__)  # its message may quote the password
            return Estimate(0, UNKNOWN, is_personal=False)
    return Estimate(int(found["guesses"]), _ADVICE[_reason(found["sequence"])], is_personal=rest != plain)


def _seen(password: str) -> str:
    """Return the longest beginning that zxcvbn is done with in time."""
    seen = password[:LONGEST_SEEN]
    while len(seen) ** 2 * _readings(seen) > _WORK:
        seen = seen[:-1]
    return seen


def _readings(password: str) -> int:
    """Return in how many ways zxcvbn replaces 4, @, $ and so on by letters."""
    characters = set(password)
    return math.prod(len(characters.intersection(signs)) or 1 for signs in L33T_TABLE.values())


def _parts(words: Iterable[str]) -> list[str]:
    """Return the words and their parts, longest first."""
    whole = {normalized(word).casefold() for word in words}
    parts = {part for word in whole for part in re.split(r"[\s@.+_-]+", word)}
    return sorted((part for part in whole | parts if len(part) >= _SHORTEST_WORD), key=len, reverse=True)


def _reason(sequence: Sequence[Mapping[str, Any]]) -> str:
    """Return the key in _ADVICE for the longest part of a password."""
    longest = max(sequence, key=lambda match: len(match["token"]))
    dictionary = longest.get("dictionary_name")
    return str(dictionary if dictionary in _ADVICE else longest["pattern"])
