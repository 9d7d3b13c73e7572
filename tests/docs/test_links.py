"""Links in documents lead somewhere, and figures are accessible."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.blocks import DOCS, ROOT, documents, name

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = sorted(DOCS.glob("*.svg"))
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def prose(document: Path) -> str:
    """The text of a document without its fences."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """The anchors of the document's headings, without the #."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*documents(), ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    """Links to files, headings and images in the project lead somewhere, and images have a descriptive alt text."""
    for link in _LINK.finditer(prose(document)):
        path, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = document.parent / path if path else document
        assert target.exists(), link[0]
        assert not anchor or anchor in anchors(target), link[0]
        assert not link["image"] or len(link["text"].split()) > 5, link[0]


@pytest.mark.parametrize("figure", FIGURES, ids=name)
def test_a_figure_is_accessible(figure: Path) -> None:
    """A figure has a title and a description, supports dark mode, loads nothing, and is shown in a document."""
    text = figure.read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314  a file of this project
    assert root.get("role") == "img"
    assert all(root.findtext(f"{SVG}{part}") for part in ("title", "desc"))
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\((?!#)|@import|<script", text)
    assert any(f"{figure.name})" in prose(document) for document in documents())
