"""What someone types into a search box, taken apart: words, "phrases", or, -not."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MAX_WORDS = 10
"""Words in one search."""

MAX_PHRASE_WORDS = 5
"""Words in one phrase. Postgres compares positions for each further word, in every post that it looks at."""

# an optional sign, then a "phrase" or a single term
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or a phrase of several words; with blanks for ASCII punctuation, as in the posts that are searched."""

    text: str
    excluded: bool
    """Whether it stood behind a minus sign."""
    is_or: bool
    """Whether it is the operator; it has no words then."""

    @property
    def words(self) -> int:
        """How many words Postgres may find in it: what is neither letter, mark nor number separates two."""
        kept = (character if unicodedata.category(character)[0] in "LMN" else " " for character in self.text)
        return 0 if self.is_or else len("".join(kept).split())


def terms(text: str) -> Sequence[Term]:
    """Take a search apart. Terms without a letter or a number are left out, if they are ASCII."""
    found: list[Term] = []
    for sign, phrase, term in _TERM.findall(text):
        cleaned = _PUNCTUATION.sub(" ", phrase or term).strip()
        if cleaned:
            # an `or` without a word before it is a word, to Postgres too
            is_or = term.lower() == "or" and not sign and bool(found) and not found[-1].is_or
            found.append(Term(cleaned, excluded=bool(sign), is_or=is_or))
    return found
