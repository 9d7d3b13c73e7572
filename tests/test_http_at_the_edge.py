"""Rules, stores and tokens know nothing of HTTP: no status, header or route. Import rules alone can't check this."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import hdrs

ROOT = Path(__file__).parent.parent
EDGE = {
    "auth_service": (
        "__main__.py",
        "administration.py",
        "app.py",
        "routes.py",
        "schemas.py",
        "settings.py",
        "handlers",
    ),
    "posts_service": ("__main__.py", "app.py", "routes.py", "schemas.py", "settings.py", "handlers"),
    "shared": ("http",),
}
"""The modules that may know HTTP; settings and commands do, because operators read their messages."""

_ROUTE = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /|/health/")
_NAMES = [str(value) for name, value in vars(hdrs).items() if name.isupper() and isinstance(value, str)]
_HEADER = re.compile(
    r"\b(" + "|".join(re.escape(name) for name in [*_NAMES, "Idempotency-Key"] if "-" in name) + r"|ETag)\b"
)
_WORDS = {"status", "headers", "HTTPStatus"}


def http_in(source: str) -> Iterator[str]:
    """Yield every trace of HTTP in a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                yield from (found[0] for pattern in (_ROUTE, _HEADER) for found in pattern.finditer(text))
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=name) | ast.arg(arg=name):
                if name in _WORDS:
                    yield str(name)


def inner_modules() -> Iterator[Path]:
    """Yield the modules that must not know HTTP."""
    for package, edge in EDGE.items():
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.relative_to(ROOT / package).parts[0] not in edge:
                yield file


@pytest.mark.parametrize("file", list(inner_modules()), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_behind_the_edge_knows_http(file: Path) -> None:
    """No status, header or route is named outside the edge."""
    assert list(http_in(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        'raise LastAdmin("Use PATCH /users/{id}")',
        'hint = "compare /health/ready"',
        'data = {"Retry-After": 5}',
        '"""Goes into `ETag`."""',
        "class E(Error): status = 409",
        "raise E(headers={})",
        "from http import HTTPStatus\nx = HTTPStatus.OK",
    ],
)
def test_traces_of_http_are_found(source: str) -> None:
    """The search finds every kind of trace."""
    assert list(http_in(source))
