"""The fenced blocks of a document, and the kinds of block that are allowed.

```sh            commands to paste; those of one document run in order in one shell, and each must succeed
```text, ```json  the output of the commands before it; in JSON, line breaks and indentation don't count
```sh elsewhere  commands that need another set-up; elsewhere.py checks the names in them
```text claims   the members of a token's header, and its claims
```text tree     files and folders, and what each is for
```python a.py   a complete file, in a document whose files are run by its own test

Code must not appear in any other form: no fence without a kind, no indented block, no <pre>.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

COMMANDS, ELSEWHERE, OUTPUTS = "sh", "sh elsewhere", ("text", "json")
TREE, CLAIMS = "text tree", "text claims"

FILES_RUN = ("add-a-service.md",)
"""Documents whose files test_add_a_service.py runs."""

_FILE = re.compile(r"\w+ (?P<name>\w+\.\w+)")


class Untrue(AssertionError):
    """A document says something that is wrong, or that no test checks."""


@dataclass(frozen=True)
class Fence:
    """A fenced block; `line` is the number of its opening line, from 1."""

    kind: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, if any."""
        found = _FILE.fullmatch(self.kind)
        return found and found["name"]


@dataclass(frozen=True)
class Step:
    """A block of commands, and the output that the document shows for it."""

    commands: Fence
    output: Fence | None


def documents() -> list[Path]:
    """Every document except the changelog: those at the root, and all in docs."""
    written = (path for path in DOCS.rglob("*.md") if "node_modules" not in path.parts)
    return [*(ROOT / file for file in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(written)]


def name(path: Path) -> str:
    """The path of a file, relative to the project."""
    return str(path.relative_to(ROOT))


def fences(text: str) -> list[Fence]:
    """Find the fenced blocks in a document's text.

    Raises:
        Untrue: a fence is not closed, or something outside of all fences looks like code.
    """
    found: list[Fence] = []
    opened: tuple[str, int] | None = None
    inside: list[str] = []
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None and line.startswith("```"):
            opened, inside = (line.removeprefix("```"), number), []
        elif opened is not None and line == "```":
            found.append(Fence(opened[0], "".join(inside), opened[1]))
            opened = None
        elif opened is not None:
            inside.append(f"{line}\n")
        elif line.lstrip().startswith(("```", "~~~")) or "<pre" in line or _is_indented(line, before):
            raise Untrue(f"line {number}: code outside of a fence at the margin is not checked: {line}")
        before = line
    if opened is not None:
        raise Untrue(f"line {opened[1]}: the fence is not closed")
    return found


def steps(found: Sequence[Fence]) -> Iterator[Step]:
    """Pair each block of commands with its output.

    Raises:
        Untrue: there is an output without commands before it.
    """
    for position, fence in enumerate(found):
        following = found[position + 1] if position + 1 < len(found) else None
        if fence.kind in OUTPUTS and (position == 0 or found[position - 1].kind not in (COMMANDS, ELSEWHERE)):
            raise Untrue(f"line {fence.line}: an output, but of no commands")
        if fence.kind in (COMMANDS, ELSEWHERE):
            yield Step(fence, following if following and following.kind in OUTPUTS else None)


def write_files(document: Path, folder: Path) -> list[Path]:
    """Write the files that the document shows into the folder, and return their paths in the document's order."""
    written = []
    for fence in fences(document.read_text(encoding="utf-8")):
        if fence.file is not None:
            path = folder / fence.file
            path.write_text(fence.text, encoding="utf-8")
            written.append(path)
    return written


def _is_indented(line: str, before: str) -> bool:
    return line.startswith(("    ", "\t")) and not before.strip()
