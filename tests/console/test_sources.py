"""What the page's files must not hold, whatever they do."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from console.app import PAGE

FORBIDDEN = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "srcdoc",
    "localStorage",
    "sessionStorage",
    "indexedDB",
    "document.cookie",
    "eval(",
    "new Function",
)


class Markup(HTMLParser):
    """Collects what would be code in the markup itself."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at a tag and its attributes."""
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.faults.append(f"<{tag}>")
        self.faults += [f"{tag}[{name}]" for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("file", sorted(PAGE.glob("*.js")), ids=lambda file: file.name)
def test_no_script_reads_markup_or_stores_anything(file: Path) -> None:
    """Text is set as text, and tokens stay in memory: the names of all that does otherwise don't occur."""
    assert [name for name in FORBIDDEN if name in file.read_text()] == []


def test_no_code_in_the_markup() -> None:
    """The page has no inline script, no inline style, no handler in an attribute."""
    markup = Markup()
    markup.feed((PAGE / "index.html").read_text())
    assert markup.faults == []


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file: Path) -> None:
    """No file names another host, but for the name of SVG."""
    found = re.findall(r"https?://[^\s\"'`),]+", file.read_text())
    allowed = ("http://www.w3.org/2000/svg", "http://127.0.0.1", "http://localhost.")
    assert [url for url in found if url not in allowed] == []
