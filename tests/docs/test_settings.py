"""The README's table of settings matches the code."""

import re

import pytest

from tests.docs.blocks import ROOT
from tests.docs.elsewhere import SETTINGS

ROW = re.compile(r"\| (?P<names>`[A-Z_`, ]+`)(?: \((?P<reader>auth|posts|console)\))? \| (?P<default>.*?) ?\|")


def rows() -> list[re.Match[str]]:
    """The rows of the README's table of settings."""
    found = []
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            row = ROW.match(line)
            assert row is not None, line
            found.append(row)
    return found


def names(row: re.Match[str]) -> list[str]:
    """The variables of a row."""
    return re.findall(r"[A-Z_]+", row["names"])


def test_every_variable_is_listed_once() -> None:
    """The table lists every variable that a service or the console reads, and no others."""
    told = sorted(name for row in rows() for name in names(row))
    assert told == sorted({name for settings in SETTINGS.values() for name in settings})


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["names"])
def test_who_reads_it_and_its_default(row: re.Match[str]) -> None:
    """Each row names its readers (without a name in brackets, both services) and the right default."""
    readers = {row["reader"]} if row["reader"] else {"auth", "posts"}
    for name in names(row):
        found = {reader for reader, settings in SETTINGS.items() if name in settings}
        # the console reads a few of the services' settings too, such as HOST and LOG_FORMAT
        assert found - ({"console"} if not row["reader"] else set()) == readers
        for reader in readers:
            default = SETTINGS[reader][name]
            shown = f"{default:g}" if isinstance(default, float) else str(default).lower()
            assert row["default"] in (shown, "") or " " in row["default"], reader
            assert row["default"] or default in (None, "", ...)
