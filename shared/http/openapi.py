"""A service's OpenAPI 3.1 document, made from its route table and from the schemas that read its requests."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter

from shared.cursor import CursorInvalid
from shared.errors import (
    Busy,
    DatabaseUnavailable,
    DomainError,
    InternalError,
    NotFound,
    StorageFull,
    ValidationFailed,
    codes,
)
from shared.http import problems
from shared.http.bearer import AuthorizationInvalid, ScopeMissing, TokenMissing
from shared.http.errors import (
    BodyMalformed,
    BodyTooLarge,
    HeaderInvalid,
    MediaTypeUnsupported,
    ParameterInvalid,
    RequestMalformed,
    RequestTimeout,
)
from shared.http.routes import OPTIONAL, PUBLIC, SIGNED_IN, Header, Route
from shared.tokens.checks import CHECKS
from shared.tokens.errors import TokenRefused

VERSION = "0.1.0"
"""The version of the API, and of the project."""

Json = dict[str, Any]

_REF = "#/components/{}/{}"
_REQUEST_ID = "5f0c3d1e9a4b4c6b8e2f1d5a7b9c0e3f"

_PROBLEM: Json = {
    "type": "object",
    "description": "Every error has this form (RFC 9457). Programs should use `code`.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The status phrase"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for people"},
        "code": {"type": "string", "description": "What happened, for programs"},
        "hint": {"type": "string", "description": "The next step, where it is not plain"},
        "errors": {
            "type": "array",
            "description": "Every field, parameter or header that is wrong",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": False,
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer into the body (RFC 6901)"},
                    "parameter": {"type": "string"},
                    "header": {"type": "string"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "check": {
            "type": "integer",
            "description": "The check that refused the token.\n\n"
            + "\n".join(f"{check.number}. **{check.name}**: {check.sentence}" for check in CHECKS),
            "minimum": CHECKS[0].number,
            "maximum": CHECKS[-1].number,
        },
        "request_id": {"type": "string", "description": "Also in the header X-Request-ID and in the log"},
    },
}

_EVERY_REPLY = Header(
    "X-Request-ID",
    "The caller's own if it has a harmless form, otherwise a new one",
    "[A-Za-z0-9._-]{1,64}",
    _REQUEST_ID,
)
_NO_STORE = Header("Cache-Control", "No cache may store it", "no-store", "no-store")
_CHALLENGE = Header("WWW-Authenticate", "RFC 6750 section 3", "Bearer .*", 'Bearer realm="posts"')
_RETRY_AFTER = Header("Retry-After", "Seconds to wait before trying again", "[0-9]+", "5")
_HEADERS_OF_STATUS = {401: (_CHALLENGE,), 429: (_RETRY_AFTER,), 503: (_RETRY_AFTER,)}


def document(name: str, description: str, routes: Sequence[Route], accepts: str = "access_token") -> Json:
    """Make the document.

    Args:
        name: The service's name.
        description: What it does, in Markdown.
        routes: The rows to document.
        accepts: The token that the service accepts, as the answer to a log-in names it.
    """
    kinds = {kind.code: kind for route in routes for kind in _errors(route)}
    schemas, models = _models(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, name, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"The {name} service", "version": VERSION, "description": description},
        "servers": [{"url": "."}],  # relative, so that a proxy may serve it under a path
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **models},
            "examples": {code: _example(kind) for code, kind in sorted(kinds.items())},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": f"The `{accepts}` from the auth service's POST /login.",
                }
            },
        },
    }


def _operation(route: Route, name: str, schemas: Mapping[int, Json]) -> Json:
    # a handler's docstring begins with the method and path; its module is the group
    summary = (inspect.getdoc(route.handler) or "").partition(": ")[2].partition("\n")[0].rstrip(".")
    group = route.handler.__module__.rpartition(".")[2]
    operation: Json = {
        "tags": [name if group in ("handlers", "__main__") else group],
        "operationId": route.handler.__name__,
        "summary": summary[:1].upper() + summary[1:],
        "parameters": list(_parameters(route)),
        "responses": dict(sorted(_responses(route, schemas).items())),
    }
    if route.access != PUBLIC:
        needed: Json = {"bearer": [] if route.access in (OPTIONAL, SIGNED_IN) else [route.access]}
        operation["security"] = [{}, needed] if route.access == OPTIONAL else [needed]
    if route.body is not None:
        content = {"schema": schemas[id(route.body)]}
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": dict.fromkeys(route.media_types, content),
        }
    return operation


def _parameters(route: Route) -> Iterable[Json]:
    if route.id is not None:
        yield {"name": "id", "in": "path", "required": True, "schema": route.id.adapter.json_schema()}
    if route.query is not None:
        wanted = route.query.model_json_schema(mode="validation")
        for name, schema in wanted["properties"].items():
            # a query string has no null: a parameter that may be None is optional
            values = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
            outer = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "title")}
            yield {
                "name": name,
                "in": "query",
                "required": name in wanted.get("required", ()),
                "schema": {**values[0], **outer},
            }
    for header in route.headers:
        yield {"name": header.name, "in": "header", "description": header.description, "schema": _text(header)}


def _responses(route: Route, schemas: Mapping[int, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for reply in route.replies:
        always = (*reply.headers, *([_NO_STORE] if route.private else []))
        answer: Json = {"description": reply.description, "headers": _headers(always, reply.sometimes)}
        if reply.body is not None:
            answer["content"] = {reply.media_type: {"schema": schemas[id(reply.body)]}}
        found[str(reply.status)] = answer
    by_status: dict[int, list[type[DomainError]]] = {}
    for kind in _errors(route):
        by_status.setdefault(problems.status_of(kind), []).append(kind)
    for status, kinds in by_status.items():
        codes = sorted(kind.code for kind in kinds)
        found[str(status)] = {
            "description": problems.phrase(HTTPStatus(status)),
            "headers": _headers(
                _HEADERS_OF_STATUS.get(status, ()), [_CHALLENGE] if any(map(problems.bearer_error, kinds)) else []
            ),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {
                        "allOf": [{"$ref": _REF.format("schemas", "Problem")}],
                        "properties": {"code": {"enum": codes}, "status": {"const": status}},
                    },
                    "examples": {code: {"$ref": _REF.format("examples", code)} for code in codes},
                }
            },
        }
    return found


def _errors(route: Route) -> Sequence[type[DomainError]]:
    """Return every error that this route may answer with."""
    found: list[type[DomainError]] = [RequestMalformed, InternalError]
    if route.access != PUBLIC:
        found += [AuthorizationInvalid, *codes(TokenRefused)]
        found += [] if route.access == OPTIONAL else [TokenMissing]
        found += [] if route.access in (OPTIONAL, SIGNED_IN) else [ScopeMissing]
    if route.id is not None:
        found += [NotFound]
    if route.headers:
        found += [HeaderInvalid]
    if route.query is not None:
        found += [ParameterInvalid]
        found += [CursorInvalid] if "cursor" in route.query.model_fields else []
    if route.body is not None:
        found += [
            MediaTypeUnsupported,
            BodyTooLarge,
            RequestTimeout,
            BodyMalformed,
            ValidationFailed,
        ]
    if route.uses_database:
        found += [Busy, DatabaseUnavailable]
        found += [] if route.method == "GET" else [StorageFull]
    found += route.errors
    return tuple(dict.fromkeys(found))


def _example(kind: type[DomainError]) -> Json:
    error = kind.example()
    if isinstance(error, TokenRefused):
        error.data = {"check": next(check.number for check in CHECKS if kind in check.errors)}
    return {"summary": kind.meaning(), "value": problems.content(error, _REQUEST_ID)}


def _models(routes: Sequence[Route]) -> tuple[Mapping[int, Json], Json]:
    """Return the schema of each body, by the identity of its class or adapter, and the models they refer to."""
    bodies = {id(route.body): TypeAdapter(route.body) for route in routes if route.body is not None}
    replies = {id(reply.body): reply.body for route in routes for reply in route.replies if reply.body is not None}
    schemas, definitions = TypeAdapter.json_schemas(
        [
            *((key, "validation", adapter) for key, adapter in bodies.items()),
            *((key, "serialization", adapter) for key, adapter in replies.items()),
        ],
        ref_template=_REF.format("schemas", "{model}"),
    )
    return {key: schema for (key, _), schema in schemas.items()}, definitions["$defs"]


def _headers(always: Iterable[Header], sometimes: Iterable[Header] = ()) -> Json:
    required = (_EVERY_REPLY, *always)
    return {
        header.name: {"description": header.description, "required": header in required, "schema": _text(header)}
        for header in (*required, *sometimes)
    }


def _text(header: Header) -> Json:
    return {"type": "string", "pattern": f"^(?:{header.pattern})$", "examples": [header.example]}
