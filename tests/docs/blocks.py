"""What stands in fences in a document, and the closed set of what a fence may be.

```sh            commands to paste, run in order, all of one document in one shell; each must succeed
```text, ```json  what the commands before it print; in JSON, line breaks and indentation don't count
```sh elsewhere  commands that need another set-up; elsewhere.py checks what they name
```text claims   the members of a token's header, and its claims
```text tree     files and folders, and what each is for
```python a.py   a whole file, in the documents whose files a test of their own runs

Nothing else looks like code: there is no fence without a kind, no indented block and no <pre>.
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
"""Documents whose files are run, by test_add_a_service.py."""

_FILE = re.compile(r"\w+ (?P<name>\w+\.\w+)")


class Untrue(AssertionError):
    """A document says what is not so, or what nobody checks."""


@dataclass(frozen=True)
class Fence:
    """A fenced block. `line` is that of its opening, counted from 1."""

    kind: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that it shows."""
        found = _FILE.fullmatch(self.kind)
        return found and found["name"]


@dataclass(frozen=True)
class Step:
    """Commands, and what they are said to print."""

    commands: Fence
    output: Fence | None


def documents() -> list[Path]:
    """Every document of the project but the changelog: those at the root, and all in docs."""
    written = (path for path in DOCS.rglob("*.md") if "node_modules" not in path.parts)
    return [*(ROOT / file for file in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(written)]


def name(path: Path) -> str:
    """A file of the project as a person calls it."""
    return str(path.relative_to(ROOT))


def fences(text: str) -> list[Fence]:
    """Take a document's fences out of its text.

    Raises:
        Untrue: something looks like code and is in no fence.
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
            raise Untrue(f"line {number}: code outside of a fence at the margin, which nobody checks: {line}")
        before = line
    if opened is not None:
        raise Untrue(f"line {opened[1]}: the fence is not closed")
    return found


def steps(found: Sequence[Fence]) -> Iterator[Step]:
    """Pair commands with their outputs.

    Raises:
        Untrue: an output follows no commands.
    """
    for position, fence in enumerate(found):
        following = found[position + 1] if position + 1 < len(found) else None
        if fence.kind in OUTPUTS and (position == 0 or found[position - 1].kind not in (COMMANDS, ELSEWHERE)):
            raise Untrue(f"line {fence.line}: an output, but of no commands")
        if fence.kind in (COMMANDS, ELSEWHERE):
            yield Step(fence, following if following and following.kind in OUTPUTS else None)


def write_files(document: Path, folder: Path) -> list[Path]:
    """Write every file that the document shows into the folder, and return their paths in the document's order."""
    written = []
    for fence in fences(document.read_text(encoding="utf-8")):
        if fence.file is not None:
            path = folder / fence.file
            path.write_text(fence.text, encoding="utf-8")
            written.append(path)
    return written


def _is_indented(line: str, before: str) -> bool:
    return line.startswith(("    ", "\t")) and not before.strip()
