"""The OpenAPI document of a service (OpenAPI 3.1), made from its route table and from the schemas that read requests.

Nothing is written down here that a route does not say or that does not hold for all of them.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter

from shared import errors
from shared.bearer import AuthorizationInvalid, ScopeMissing, TokenMissing
from shared.cursor import CursorInvalid
from shared.errors import Problem
from shared.routes import OPTIONAL, PUBLIC, SIGNED_IN, Header, Route
from shared.tokens import TokenRefused

VERSION = "0.1.0"
"""The version of the API, and of the project."""

Json = dict[str, Any]

_PROBLEM_JSON = "application/problem+json"
_REF = "#/components/{}/{}"
_REQUEST_ID = "5f0c3d1e9a4b4c6b8e2f1d5a7b9c0e3f"

_PROBLEM: Json = {
    "type": "object",
    "description": "Every error has this form (RFC 9457). A program goes by `code`.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for a person"},
        "code": {"type": "string", "description": "What happened, for a program"},
        "hint": {"type": "string", "description": "What to do, where that is not plain"},
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
        "check": {"type": "integer", "description": "The check of the token that failed", "minimum": 1, "maximum": 13},
        "request_id": {"type": "string", "description": "Stands in the header X-Request-ID and in the log too"},
    },
}

_EVERY_REPLY = Header(
    "X-Request-ID", "The caller's own where it has a harmless form, else a new one", "[A-Za-z0-9._-]{1,64}", _REQUEST_ID
)
_CHALLENGE = Header("WWW-Authenticate", "RFC 6750 section 3", "Bearer .*", 'Bearer realm="posts"')
_RETRY_AFTER = Header("Retry-After", "Seconds after which another try makes sense", "[0-9]+", "5")
_HEADERS_OF_STATUS = {401: (_CHALLENGE,), 429: (_RETRY_AFTER,), 503: (_RETRY_AFTER,)}


def document(name: str, description: str, routes: Sequence[Route]) -> Json:
    """Make the document.

    Args:
        name: The service's name.
        description: What it does, in Markdown.
        routes: Its table. Addresses that answer something else than JSON may be left out.
    """
    kinds = {kind.code: kind for route in routes for kind in _errors(route)}
    schemas, models = _models(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, name, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"The {name} service", "version": VERSION, "description": description},
        "servers": [{"url": "."}],  # beside the document, also under a path of a proxy
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **models},
            "examples": {code: _example(kind) for code, kind in sorted(kinds.items())},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of the auth service: POST /login there gives one.",
                }
            },
        },
    }


def _operation(route: Route, name: str, schemas: Mapping[int, Json]) -> Json:
    # a handler's docstring begins with method and path, and its module is the group; one for all is the service itself
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
            # there is no null in a query string: a parameter that may be None may be left out
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
        answer: Json = {"description": reply.description, "headers": _headers(reply.headers, reply.sometimes)}
        if reply.body is not None:
            answer["content"] = {reply.media_type: {"schema": schemas[id(reply.body)]}}
        found[str(reply.status)] = answer
    by_status: dict[int, list[type[Problem]]] = {}
    for kind in _errors(route):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in by_status.items():
        codes = sorted(kind.code for kind in kinds)
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(
                _HEADERS_OF_STATUS.get(status, ()), [_CHALLENGE] if any(kind.bearer_error for kind in kinds) else []
            ),
            "content": {
                _PROBLEM_JSON: {
                    "schema": {
                        "allOf": [{"$ref": _REF.format("schemas", "Problem")}],
                        "properties": {"code": {"enum": codes}, "status": {"const": status}},
                    },
                    "examples": {code: {"$ref": _REF.format("examples", code)} for code in codes},
                }
            },
        }
    return found


def _errors(route: Route) -> Sequence[type[Problem]]:
    """Every error that this route may answer, in the order in which they are looked for."""
    found: list[type[Problem]] = [errors.RequestMalformed, errors.InternalError]
    if route.access != PUBLIC:
        found += [AuthorizationInvalid, *errors.codes(TokenRefused)]
        found += [] if route.access == OPTIONAL else [TokenMissing]
        found += [] if route.access in (OPTIONAL, SIGNED_IN) else [ScopeMissing]
    if route.id is not None:
        found += [errors.NotFound]
    if route.headers:
        found += [errors.HeaderInvalid]
    if route.query is not None:
        found += [errors.ParameterInvalid]
        found += [CursorInvalid] if "cursor" in route.query.model_fields else []
    if route.body is not None:
        found += [
            errors.MediaTypeUnsupported,
            errors.BodyTooLarge,
            errors.RequestTimeout,
            errors.BodyMalformed,
            errors.ValidationFailed,
        ]
    if route.asks_database:
        found += [errors.Busy, errors.DatabaseUnavailable]
        found += [] if route.method == "GET" else [errors.StorageFull]
    found += route.errors
    return tuple(dict.fromkeys(found))


def _example(kind: type[Problem]) -> Json:
    return {"summary": kind.meaning(), "value": kind.example().content(_REQUEST_ID)}


def _models(routes: Sequence[Route]) -> tuple[Mapping[int, Json], Json]:
    """The schema of each body, by the identity of its class or adapter, and the models that they refer to."""
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
