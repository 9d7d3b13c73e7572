"""The OpenAPI documents, and the page that shows them."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared.errors import DomainError, StartupError, codes
from shared.http import docs, openapi
from shared.http.routes import OPTIONAL, PUBLIC, SIGNED_IN
from tests.api_client import Pair, posts_app, served
from tests.openapi.documents import ROUTES

ROOT = Path(__file__).parent.parent.parent
SERVICES = ["auth", "posts"]
PAGE = ["/docs", "/docs/start.js", "/docs/style.css", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """The name of either service."""
    return str(request.param)


@pytest.fixture
async def document(service: str, pair: Pair) -> dict[str, Any]:
    """The service's OpenAPI document, as it serves it."""
    reply = await pair.call("GET", f"{getattr(pair, service)}/openapi.json")
    assert reply.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = reply.body
    return found


async def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    """The document is valid OpenAPI 3.1, including its schemas, examples and defaults."""
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_is_documented(service: str, document: dict[str, Any]) -> None:
    """The document has exactly the routes in the route table and the two health routes."""
    said = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    health = {("GET", "/health/live"), ("GET", "/health/ready")}
    assert said == {(route.method, route.path) for route in ROUTES[service]} | health


async def test_each_operation_names_its_scope(service: str, document: dict[str, Any]) -> None:
    """A route that needs a token has the bearer scheme and its scope; a public one has no security."""
    for route in ROUTES[service]:
        wanted: object = {
            PUBLIC: None,
            OPTIONAL: [{}, {"bearer": []}],
            SIGNED_IN: [{"bearer": []}],
        }.get(route.access, [{"bearer": [route.access]}])
        assert document["paths"][route.path][route.method.lower()].get("security") == wanted
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_every_operation_has_an_id_and_a_summary(document: dict[str, Any]) -> None:
    """Every operation has a unique id and a summary."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for operation in operations)


async def test_each_error_has_a_valid_example(document: dict[str, Any]) -> None:
    """Each error code of an operation has an example, which fits the schema of its response."""
    seen = 0
    for item in document["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                problem = answer.get("content", {}).get("application/problem+json")
                if problem is None:
                    continue
                validator = validator_for({**problem["schema"], "components": document["components"]})
                named = problem["schema"]["properties"]["code"]["enum"]
                assert sorted(problem["examples"]) == named
                for code in named:
                    example = document["components"]["examples"][code]
                    validator.validate(example["value"])
                    assert example["value"]["code"] == code
                    assert str(example["value"]["status"]) == status
                    seen += 1
    assert seen > 100


async def test_every_code_is_documented_somewhere(pair: Pair) -> None:
    """Every error code except method_not_allowed is documented for at least one operation."""
    documented: set[str] = set()
    for base in (pair.auth, pair.posts):
        documented |= set((await pair.call("GET", f"{base}/openapi.json")).body["components"]["examples"])
    assert {kind.code for kind in codes(DomainError)} - documented == {"method_not_allowed"}


def test_the_version_is_the_projects() -> None:
    """The document has the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == openapi.VERSION


@pytest.mark.parametrize("path", PAGE)
async def test_the_page_is_served_by_the_service(service: str, pair: Pair, path: str) -> None:
    """The service serves all files of the page, with a policy that allows only its own scripts and styles."""
    async with pair.http.get(getattr(pair, service) + path) as reply:
        assert reply.status == 200
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        text = await reply.text()
    if path == "/docs":
        assert "http" not in text
        assert "<script>" not in text


async def test_a_file_is_sent_whole_or_not_at_all(pair: Pair) -> None:
    """A file is sent whole, whatever Range and If-Match say; a client that has it already gets 304."""
    url = f"{pair.posts}/docs/style.css"
    async with pair.http.get(url, headers={"Range": "bytes=99999999-", "If-Match": '"x"'}) as reply:
        assert reply.status == 200
        assert "margin" in await reply.text()
        etag = reply.headers["ETag"]
    async with pair.http.get(url, headers={"If-None-Match": etag}) as reply:
        assert reply.status == 304


async def test_the_page_can_be_turned_off(keyring_file: Path, database_url: str, pair: Pair) -> None:
    """With DOCS=false, the service has no page but still serves its document."""
    async with served(posts_app(database_url, keyring_file, docs=False)) as base:
        for path in PAGE:
            assert (await pair.call("GET", base + path)).code == "not_found"
        assert (await pair.call("GET", f"{base}/openapi.json")).status == 200


def test_missing_files_are_reported_at_start(monkeypatch: pytest.MonkeyPatch, keyring_file: Path) -> None:
    """If the package with the page's files is missing, the service doesn't start, and hints at DOCS=false."""

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(docs, "distribution", missing)
    with pytest.raises(StartupError, match=r"flask-swagger-ui.*DOCS=false"):
        posts_app("postgresql://nobody@127.0.0.1/none", keyring_file)
    posts_app("postgresql://nobody@127.0.0.1/none", keyring_file, docs=False)
