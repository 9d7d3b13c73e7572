"""docs/threat-model.md claims nothing that no test or file shows."""

import ast
import re
import subprocess
import sys

import pytest

from tests.docs.blocks import DOCS, ROOT

DOCUMENT = (DOCS / "threat-model.md").read_text(encoding="utf-8")
ATTACKS, STANDARDS = (
    DOCUMENT.partition(f"\n## {begin}\n")[2].partition(f"\n## {end}\n")[0]
    for begin, end in (
        ("Who attacks, and what stops them", "What isn't covered, and why"),
        ("Compared with standards", "(the end)"),
    )
)
TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")
FILE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|html))`")


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their heads."""
    found = []
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        _, line, *body = table.splitlines()
        assert set(line) <= set("|-"), line
        found += [[cell.strip() for cell in row.strip("|").split(" | ")] for row in body]
    return found


@pytest.mark.slow
def test_each_named_test_is_there() -> None:
    """Every test that the document names is collected, and none of them is skipped."""
    named = set(TEST.findall(DOCUMENT))
    assert len(named) > 100
    files = sorted({name.partition("::")[0] for name in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    collected = {line.partition("[")[0] for line in done.stdout.splitlines()}
    assert named - collected == set()
    for name in sorted(named):
        assert not re.search(r"(?:mark|pytest)\.(?:skip|xfail)", source(name)), name


def source(name: str) -> str:
    """The code of a test, with its decorators."""
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if getattr(node, "name", None) == function)
    return ast.unparse(found)


@pytest.mark.parametrize("row", rows(ATTACKS), ids=lambda row: row[0])
def test_what_stops_an_attack_is_shown_by_a_test(row: list[str]) -> None:
    """Each attack has a test in its last cell, and nothing else is there."""
    attack, stopped_by, shown_by = row
    assert attack
    assert stopped_by
    tests = shown_by.split(", ")
    assert all(TEST.fullmatch(test) for test in tests), shown_by


@pytest.mark.parametrize("row", rows(STANDARDS), ids=lambda row: f"{row[0]} {row[1]}")
def test_a_requirement_is_met_by_a_test_or_a_file_or_it_says_why_not(row: list[str]) -> None:
    """What is met names a test or a file that is there; what isn't says why."""
    number, requirement, met, why = row
    assert re.fullmatch(r"\d+(\.\d+)+", number)
    assert requirement
    assert met in ("yes", "partly", "no")
    files = FILE.findall(TEST.sub("", why))
    assert all((ROOT / file).exists() for file in files), files
    if met == "yes":
        assert files or TEST.search(why)
    else:
        assert len(re.sub(r"`[^`]+`", "", why).split()) >= 4


def test_the_numbers_stand_once_in_each_table_of_asvs() -> None:
    """No requirement of ASVS is listed twice."""
    numbers = [row[0] for row in rows(STANDARDS.partition("### RFC 8725")[0])]
    assert len(numbers) == len(set(numbers)) > 40
