"""The files that a document shows: fenced blocks whose info string is a language and a file name."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FILE = re.compile(r"^```\w+ (?P<name>[\w.]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files(document: Path, folder: Path) -> list[Path]:
    """Write every file that the document shows into the folder, and return their paths in the document's order."""
    written = []
    for block in _FILE.finditer(document.read_text(encoding="utf-8")):
        path = folder / block["name"]
        path.write_text(block["text"], encoding="utf-8")
        written.append(path)
    return written
