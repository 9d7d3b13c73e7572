"""The OpenAPI documents themselves, and the page that shows them."""

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
    """One of the two."""
    return str(request.param)


@pytest.fixture
async def document(service: str, pair: Pair) -> dict[str, Any]:
    """Its document, as it is served."""
    reply = await pair.call("GET", f"{getattr(pair, service)}/openapi.json")
    assert reply.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = reply.body
    return found


async def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    """It is valid by the specification, its schemas, examples and defaults too."""
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_every_address_is_in_it(service: str, document: dict[str, Any]) -> None:
    """It has every row of the route table and both health routes, and nothing else."""
    said = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    health = {("GET", "/health/live"), ("GET", "/health/ready")}
    assert said == {(route.method, route.path) for route in ROUTES[service]} | health


async def test_each_operation_says_which_scope_it_wants(service: str, document: dict[str, Any]) -> None:
    """The bearer scheme stands at each route that wants a token, with its scope; what wants none has no security."""
    for route in ROUTES[service]:
        wanted: object = {
            PUBLIC: None,
            OPTIONAL: [{}, {"bearer": []}],
            SIGNED_IN: [{"bearer": []}],
        }.get(route.access, [{"bearer": [route.access]}])
        assert document["paths"][route.path][route.method.lower()].get("security") == wanted
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_every_operation_can_be_told_apart(document: dict[str, Any]) -> None:
    """Each has an id of its own and a summary."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for operation in operations)


async def test_each_error_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    """The example of every code that an operation names fits the schema of the very answer that it stands in."""
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


async def test_every_code_can_happen_somewhere(pair: Pair) -> None:
    """Each error of both services is documented at one operation at least, but for a method that is not taken."""
    documented: set[str] = set()
    for base in (pair.auth, pair.posts):
        documented |= set((await pair.call("GET", f"{base}/openapi.json")).body["components"]["examples"])
    assert {kind.code for kind in codes(DomainError)} - documented == {"method_not_allowed"}


def test_the_version_is_the_projects() -> None:
    """The document has the version that pyproject.toml has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == openapi.VERSION


@pytest.mark.parametrize("path", PAGE)
async def test_the_page_is_served_from_here(service: str, pair: Pair, path: str) -> None:
    """Each of its files is answered, under a policy that allows no script and no connection but the service's own."""
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


async def test_a_file_is_answered_whole_or_not_at_all(pair: Pair) -> None:
    """Ranges are not known, so none is wrong; who has the file is told that it is as it was."""
    url = f"{pair.posts}/docs/style.css"
    async with pair.http.get(url, headers={"Range": "bytes=99999999-", "If-Match": '"x"'}) as reply:
        assert reply.status == 200
        assert "margin" in await reply.text()
        etag = reply.headers["ETag"]
    async with pair.http.get(url, headers={"If-None-Match": etag}) as reply:
        assert reply.status == 304


async def test_the_page_can_be_turned_off(keyring_file: Path, database_url: str, pair: Pair) -> None:
    """With DOCS=false there is no page, and the document stays."""
    async with served(posts_app(database_url, keyring_file, docs=False)) as base:
        for path in PAGE:
            assert (await pair.call("GET", base + path)).code == "not_found"
        assert (await pair.call("GET", f"{base}/openapi.json")).status == 200


def test_a_page_without_its_files_does_not_start(monkeypatch: pytest.MonkeyPatch, keyring_file: Path) -> None:
    """Where the package with the files is missing, the service says so at start, and how to do without."""

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(docs, "distribution", missing)
    with pytest.raises(StartupError, match=r"flask-swagger-ui.*DOCS=false"):
        posts_app("postgresql://nobody@127.0.0.1/none", keyring_file)
    posts_app("postgresql://nobody@127.0.0.1/none", keyring_file, docs=False)
