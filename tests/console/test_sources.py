"""What the page's files must not contain."""

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
    """Collects inline scripts, styles and event handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag or an attribute that is inline code."""
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.faults.append(f"<{tag}>")
        self.faults += [f"{tag}[{name}]" for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("file", sorted(PAGE.glob("*.js")), ids=lambda file: file.name)
def test_scripts_parse_no_markup_and_store_nothing(file: Path) -> None:
    """No script uses a function that parses markup, runs text as code or writes to browser storage."""
    assert [name for name in FORBIDDEN if name in file.read_text()] == []


def test_the_markup_contains_no_code() -> None:
    """The page has no inline scripts, inline styles or event handler attributes."""
    markup = Markup()
    markup.feed((PAGE / "index.html").read_text())
    assert markup.faults == []


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda file: file.name)
def test_no_file_names_another_host(file: Path) -> None:
    """No file contains the URL of another host, except the SVG namespace."""
    found = re.findall(r"https?://[^\s\"'`),]+", file.read_text())
    allowed = ("http://www.w3.org/2000/svg", "http://127.0.0.1", "http://localhost")
    assert [url for url in found if url not in allowed] == []
