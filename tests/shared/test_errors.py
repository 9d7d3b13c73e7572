"""The error codes, their documentation, and the response made from an error."""

import ast
import json
import re
from pathlib import Path

import pytest

import auth_service.app
import auth_service.routes
import posts_service.app
import posts_service.routes
from shared import errors
from shared.errors import DomainError, Fault, codes
from shared.http import problems
from shared.http.routes import Route

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def test_every_code_is_documented_with_its_status() -> None:
    """docs/errors.md lists exactly the codes of both services, each with its status."""
    assert auth_service.app, posts_service.app  # importing them defines their errors
    documented = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted((str(int(problems.status_of(kind))), kind.code) for kind in codes())


def test_no_two_errors_share_a_code() -> None:
    """Each code belongs to one error."""
    found = [kind.code for kind in codes()]
    assert len(found) == len(set(found))


def test_every_fault_is_documented() -> None:
    """docs/errors.md lists exactly the codes that the source gives to faults of single fields."""
    used = set()
    for file in (
        file for folder in ("auth_service", "posts_service", "shared") for file in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                position = {"Fault": 1, "PydanticCustomError": 0}.get(node.func.id)
                given = None if position is None else node.args[position]
                if isinstance(given, ast.Constant):
                    used.add(given.value)
    section = DOCUMENT[DOCUMENT.index("## Inside `errors`") :]
    rows = re.findall(r"^\| (`.*`) \|", section, re.MULTILINE)
    assert {code for row in rows for code in re.findall(r"`(\w+)`", row)} == used


def test_an_error_renders_only_the_members_it_has() -> None:
    """Empty members are left out, retry_after becomes a header, and a lone surrogate is escaped."""
    bare = problems.answer(errors.NotFound("There is nothing"), "id")
    assert b"hint" not in bare.body
    assert b"errors" not in bare.body
    assert "Retry-After" not in bare.headers
    full = problems.answer(
        errors.Busy("a \ud800", hint="wait", faults=[Fault("limit", "x", "y", "parameter")], data={"retry_after": 3}),
        "id",
    )
    assert full.headers["Retry-After"] == "3"
    assert b'"errors": [{"parameter": "limit", "code": "x", "message": "y"}]' in full.body
    assert b"\\ud800" in full.body


@pytest.mark.parametrize(
    "route",
    [*auth_service.routes.ROUTES, *posts_service.routes.ROUTES],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_a_write_whose_outcome_is_unknown_says_how_to_repeat_it(route: Route) -> None:
    """If the database fails during a write, the hint says that it may be stored, and names what makes it repeatable."""
    hint = json.loads(problems.answer(errors.DatabaseUnavailable("It is gone"), "id", route=route).body).get("hint")
    if route.method == "GET":
        assert hint is None
        return
    assert "may have taken effect" in hint
    named = {name for name in ("Idempotency-Key", "If-Match") if name in hint}
    assert named == {header.name for header in route.headers}
    for refused in (errors.Busy("All connections are in use"), errors.NotFound("There is none")):
        assert b'"hint"' not in problems.answer(refused, "id", route=route).body


def test_every_temporary_error_says_when_to_retry() -> None:
    """Errors that pass are always raised with retry_after."""
    later = {"Busy", "DatabaseUnavailable", "SearchTooExpensive", "Stopping"}
    for file in (
        file for folder in ("auth_service", "posts_service", "shared") for file in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = getattr(node.exc.func, "id", getattr(node.exc.func, "attr", ""))
                if name in later:
                    assert "'retry_after'" in ast.dump(node.exc), (file, node.lineno)
    assert later <= {kind.__name__ for kind in codes(DomainError)}


def test_every_status_has_the_same_phrase_on_every_python() -> None:
    """The title of an error doesn't depend on the version of Python."""
    phrases = {int(problems.status_of(kind)): problems.phrase(problems.status_of(kind)) for kind in codes()}
    assert phrases == {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        408: "Request Timeout",
        409: "Conflict",
        412: "Precondition Failed",
        413: "Request Entity Too Large",
        415: "Unsupported Media Type",
        422: "Unprocessable Entity",
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Service Unavailable",
        507: "Insufficient Storage",
    }
