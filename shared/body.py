"""JSON bodies: a request's as a value of a schema, or the error that says all that is wrong with it; an answer's."""

import asyncio
from collections.abc import Collection, Iterable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import LooseHeaders
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared import errors, strict_json
from shared.errors import Fault
from shared.routes import JSON, ROUTE, Schema

READ_SECONDS = 20.0
"""How long a body may take to arrive."""


MAX_MEDIA_TYPE = 200
"""Characters of a Content-Type."""

MAX_MEMBERS = 50
"""Members of a body; no schema has as many, and each that is unknown would be named."""


S = TypeVar("S", bound=Schema)
T = TypeVar("T")


async def read(request: web.Request, schema: type[S]) -> S:
    """Read the body as `schema`, which is what the request's route says it must be.

    Raises:
        MediaTypeUnsupported: it isn't declared in UTF-8 as one of the route's media types.
        RequestTimeout: it took longer than READ_SECONDS to arrive.
        BodyMalformed: it isn't one strict JSON object.
        ValidationFailed: fields are missing, unknown, or not allowed.
    """
    route = request[ROUTE]
    assert route.body is schema, f"give the Route of {route.method} {route.path} the body {schema.__name__}"
    _check_media_type(request, route.media_types)
    try:
        async with asyncio.timeout(READ_SECONDS):
            data = await request.read()
    except TimeoutError:
        raise errors.RequestTimeout(f"The body did not arrive within {READ_SECONDS:.0f} s") from None
    try:
        value = strict_json.loads(data)
    except strict_json.NotStrict as error:
        raise errors.BodyMalformed(f"The body is not strict JSON: {error}") from None
    if not isinstance(value, dict):
        raise errors.BodyMalformed("The body must be a JSON object", hint='Send something like {"name": "value"}.')
    if len(value) > MAX_MEMBERS:
        raise errors.BodyMalformed(f"The body has {len(value)} members, at most {MAX_MEMBERS} are looked at")
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise errors.ValidationFailed.of(
            fault(detail, schema.model_fields) for detail in error.errors(include_url=False)
        ) from None


def response(
    adapter: TypeAdapter[T], value: T, *, status: int = 200, headers: LooseHeaders | None = None
) -> web.Response:
    """Answer with `value` as JSON in UTF-8, with times in RFC 3339."""
    return web.Response(status=status, headers=headers, body=adapter.dump_json(value), content_type=JSON)


def fault(detail: ErrorDetails, fields: Iterable[str] = ()) -> Fault:
    """Say in our words what pydantic found, with the limit and what was sent."""
    where = "".join("/" + str(step).replace("~", "~0").replace("/", "~1")[:100] for step in detail["loc"])
    limits, sent = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing":
            return Fault(where, "field_missing", "this field is required")
        case "extra_forbidden":
            return Fault(where, "field_unknown", f"there is no such field; there are {', '.join(fields)}")
        case "string_type":
            return Fault(where, "type_wrong", f"it must be a string, not {strict_json.kind(sent)}")
        case "string_unicode":
            return Fault(where, "text_refused", "it holds a lone surrogate; send whole characters")
        case "string_too_short":
            return Fault(
                where, "too_short", f"it needs at least {limits['min_length']} characters; {len(sent)} were sent"
            )
        case "string_too_long":
            return Fault(
                where, "too_long", f"it may have at most {limits['max_length']} characters; {len(sent)} were sent"
            )
        case "too_long":
            return Fault(where, "too_many", f"it may have at most {limits['max_length']} items; {len(sent)} were sent")
        case "less_than_equal" | "greater_than_equal":
            sign, limit = ("at most", limits["le"]) if "le" in limits else ("at least", limits["ge"])
            return Fault(where, "out_of_range", f"it must be {sign} {limit}; {sent} was sent")
        case "int_parsing" | "int_type":
            return Fault(where, "type_wrong", "it must be a whole number")
        case "list_type":
            return Fault(where, "type_wrong", f"it must be a list, not {strict_json.kind(sent)}")
        case "text_refused" | "text_blank":  # ours already, of shared/text.py
            return Fault(where, detail["type"], detail["msg"])
        case _:
            return Fault(where, "value_invalid", detail["msg"])


def _check_media_type(request: web.Request, accepted: Collection[str]) -> None:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise errors.MediaTypeUnsupported(
            f"The body must come as it is, not in the encoding {encoding[:40]!r}",
            hint="Leave the header Content-Encoding out, and the body uncompressed.",
            headers={"Accept-Encoding": "identity"},
        )
    sent = request.headers.get("Content-Type", "of no stated type")
    if not _is_declared(sent, accepted):
        raise errors.MediaTypeUnsupported(
            f"The body must be {' or '.join(accepted)} in UTF-8, it is {sent[:80]}",
            hint="Send the header 'Content-Type: application/json'.",
        )


def _is_declared(header: str, accepted: Collection[str]) -> bool:
    """Whether a Content-Type (RFC 9110 section 8.3) is one of these types in UTF-8; other parameters mean nothing.

    aiohttp's own reading takes quadratic time, and recurses: 8 KB of semicolons cost 0.7 s, 240 parentheses a 500.
    """
    media_type, *parameters = (part.strip().lower() for part in header[: MAX_MEDIA_TYPE + 1].split(";"))
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    return (
        len(header) <= MAX_MEDIA_TYPE
        and media_type in accepted
        and named.get("charset", "utf-8").strip('"') in ("utf-8", "utf8")
    )
