"""The tables about tokens in docs/errors.md match the checks in the code."""

import re
from collections import defaultdict

from shared.tokens.checks import CHECKS
from tests.docs.blocks import DOCS

DOCUMENT = (DOCS / "errors.md").read_text(encoding="utf-8")


def numbers(text: str) -> list[int]:
    """Expand a list of checks such as "1–3, 6"."""
    found: list[int] = []
    for part in text.split(", "):
        first, _, last = part.partition("–")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def test_the_thirteen_checks_are_documented() -> None:
    """Each check has a row with its number, name, sentence and codes, in the order in which the checks run."""
    shown = re.findall(r"^\| (\d{1,2}) \| (.+?) \| (.+?) \| (.+?) \|$", DOCUMENT, re.MULTILINE)
    assert shown == [
        (str(check.number), check.name, check.sentence, ", ".join(f"`{error.code}`" for error in check.errors))
        for check in CHECKS
    ]


def test_each_code_names_the_checks_that_raise_it() -> None:
    """The row of each token code lists exactly the checks that raise it."""
    shown = {
        code: numbers(checks)
        for code, checks in re.findall(r"^\| \d{3} \| `(token_\w+)` \| ([\d–, ]+) \|", DOCUMENT, re.MULTILINE)
    }
    raised = defaultdict(list)
    for check in CHECKS:
        for error in check.errors:
            raised[error.code].append(check.number)
    assert shown == raised
