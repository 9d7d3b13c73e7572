"""Check responses against the OpenAPI documents; `Pair` does so for every response that a test gets."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Validator, validator_for

import auth_service.routes
import posts_service.routes
from shared.http import health, openapi
from shared.tokens.keyring import Keyring
from tests.attacks.forge import KEYRING

ROUTES = {"auth": auth_service.routes.ROUTES, "posts": posts_service.routes.ROUTES}


@cache
def document(service: str) -> dict[str, Any]:
    """The OpenAPI document of `auth` or `posts`, as the service builds it."""
    return openapi.document(service, "", [*ROUTES[service], *health.routes(Keyring(text=KEYRING), None, None)])


def check(service: str, request: tuple[str, str], *, status: int, headers: Mapping[str, str], body: object) -> None:
    """Check that a response is as documented: its status, code, headers and the schema of its body.

    Responses to unknown paths and unsupported methods are not documented, and pass.

    Args:
        service: auth or posts.
        request: Method and path.
        status: The response's status.
        headers: The response's headers.
        body: The response's body, parsed as JSON.
    """
    method, path = request
    operation = _operation(service, path, method.lower())
    if operation is None:
        return
    said = operation["responses"].get(str(status))
    assert said is not None, f"{method} {path} answers {status} {body}, which is not documented"
    for name, header in said["headers"].items():
        assert name in headers or not header["required"], f"{method} {path}: {status} without {name}"
        if name in headers:
            assert re.search(header["schema"]["pattern"], headers[name]), f"{name}: {headers[name]}"
    contents = said.get("content")
    if contents is None:
        assert body is None
        return
    (media_type,) = contents
    assert headers["Content-Type"].partition(";")[0] == media_type
    _validator(service, path_of(service, path), method.lower(), str(status)).validate(body)


def path_of(service: str, path: str) -> str:
    """The path template in the document that matches the path, or the path itself."""
    for template in document(service)["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return str(template)
    return path


def _operation(service: str, path: str, method: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document(service)["paths"].get(path_of(service, path), {}).get(method)
    return found


@cache
def _validator(service: str, path: str, method: str, status: str) -> Validator:
    whole = document(service)
    (content,) = whole["paths"][path][method]["responses"][status]["content"].values()
    return validator_for({**content["schema"], "components": whole["components"]})
