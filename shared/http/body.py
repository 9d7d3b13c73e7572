"""JSON bodies: reading a request's, with one error that lists everything wrong, and writing an answer's."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TypeVar
from weakref import WeakValueDictionary

from aiohttp import web
from aiohttp.typedefs import LooseHeaders
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared import strict_json
from shared.errors import Busy, Fault, ValidationFailed
from shared.http import bearer
from shared.http.errors import BodyMalformed, MediaTypeUnsupported, RequestTimeout
from shared.http.routes import JSON, Schema

READ_SECONDS = 20.0
"""How long a body may take to arrive."""

LARGE_BYTES = 64 * 1024
"""A body that is larger, or whose length isn't known, needs room."""

LARGE_AT_ONCE = 32
"""Large bodies that are read at the same time, by all users together. This bounds the memory that they take."""

LARGE_PER_USER = 4
"""How many of them are one user's."""

ROOM_SECONDS = 5.0
"""How long a large body waits for room; nothing of it is read meanwhile."""

MAX_MEDIA_TYPE = 200
"""Characters in a Content-Type header."""

MAX_MEMBERS = 50
"""Members of a body. No schema has as many, and each unknown one would be listed in the error."""

S = TypeVar("S", bound=Schema)
T = TypeVar("T")


class Room:
    """Room for large bodies, so that slow senders of many can't fill the memory."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(LARGE_AT_ONCE)
        self._users: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, request: web.Request) -> AsyncIterator[None]:
        """Hold room for the request's body during the block.

        Raises:
            Busy: there was none within ROOM_SECONDS.
        """
        claims = request.get(bearer.CLAIMS)
        user = str(request.remote if claims is None else claims.sub)
        own = self._users.setdefault(user, asyncio.Semaphore(LARGE_PER_USER))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(ROOM_SECONDS):
                    await stack.enter_async_context(own)
                    await stack.enter_async_context(self._all)
            except TimeoutError:
                raise Busy("Too many large bodies are being received", data={"retry_after": 1}) from None
            yield


ROOM: web.AppKey[Room] = web.AppKey("room")


async def read(request: web.Request, schema: type[S], media_types: Collection[str]) -> S:
    """Read the body.

    Raises:
        MediaTypeUnsupported: it isn't declared as one of the media types in UTF-8.
        RequestTimeout: it didn't arrive within READ_SECONDS.
        Busy: it is large, and there was no room for it.
        web.HTTPRequestEntityTooLarge: it is over the application's limit; application.py translates this one.
        BodyMalformed: it isn't one strict JSON object.
        ValidationFailed: fields are missing, unknown or not allowed.
    """
    _check_media_type(request, media_types)
    length = request.content_length
    is_large = length is None or length > LARGE_BYTES
    try:
        async with request.app[ROOM].taken(request) if is_large else nullcontext(), asyncio.timeout(READ_SECONDS):
            data = await request.read()
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {READ_SECONDS:.0f} s") from None
    try:
        value = strict_json.loads(data)
    except strict_json.NotStrict as error:
        raise BodyMalformed(f"The body is not strict JSON: {error}") from None
    if not isinstance(value, dict):
        raise BodyMalformed("The body must be a JSON object", hint='Send something like {"name": "value"}.')
    if len(value) > MAX_MEMBERS:
        raise BodyMalformed(f"The body has {len(value)} members; at most {MAX_MEMBERS} are accepted")
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise ValidationFailed.of(
            fault(detail, schema.model_fields) for detail in error.errors(include_url=False)
        ) from None


def response(
    adapter: TypeAdapter[T], value: T, *, status: int = 200, headers: LooseHeaders | None = None
) -> web.Response:
    """Answer with `value` as JSON in UTF-8, with RFC 3339 times."""
    return web.Response(status=status, headers=headers, body=adapter.dump_json(value), content_type=JSON)


def fault(detail: ErrorDetails, fields: Iterable[str] = ()) -> Fault:
    """Translate what pydantic found into our words, with the limit and what was sent.

    Args:
        detail: One of pydantic's errors.
        fields: The names that exist, for the message about one that doesn't.
    """
    where = "".join("/" + str(step).replace("~", "~0").replace("/", "~1")[:100] for step in detail["loc"])
    limits, sent = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing":
            return Fault(where, "field_missing", "this field is required")
        case "extra_forbidden":
            return Fault(where, "field_unknown", f"there is no such field; the fields are {', '.join(fields)}")
        case "string_type":
            return Fault(where, "type_wrong", f"it must be a string, not {strict_json.kind(sent)}")
        case "string_unicode":
            return Fault(where, "text_refused", "it contains a lone surrogate; send whole characters")
        case "string_too_short" if not sent:
            return Fault(where, "too_short", "it must not be empty")
        case "string_too_short":
            return Fault(
                where, "too_short", f"it must have at least {limits['min_length']} characters; {len(sent)} were sent"
            )
        case "string_too_long":
            return Fault(
                where, "too_long", f"it must have at most {limits['max_length']} characters; {len(sent)} were sent"
            )
        case "too_long":
            return Fault(where, "too_many", f"it must have at most {limits['max_length']} items; {len(sent)} were sent")
        case "less_than_equal" | "greater_than_equal":
            sign, limit = ("at most", limits["le"]) if "le" in limits else ("at least", limits["ge"])
            return Fault(where, "out_of_range", f"it must be {sign} {limit}; {sent} was sent")
        case "int_parsing" | "int_type":
            return Fault(where, "type_wrong", "it must be a whole number")
        case "bool_type":
            return Fault(where, "type_wrong", f"it must be true or false, not {strict_json.kind(sent)}")
        case "list_type":
            return Fault(where, "type_wrong", f"it must be a list, not {strict_json.kind(sent)}")
        case "text_refused" | "text_blank":  # already ours, from shared/text_validation.py
            return Fault(where, detail["type"], detail["msg"])
        case _:
            return Fault(where, "value_invalid", detail["msg"])


def _check_media_type(request: web.Request, accepted: Collection[str]) -> None:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"The body must not be encoded; its Content-Encoding is {encoding[:40]!r}",
            hint="Leave out the header Content-Encoding, and send the body uncompressed.",
            data={"accept_encoding": "identity"},
        )
    sent = request.headers.get("Content-Type")
    if sent is None or not _is_accepted(sent, accepted):
        stated = "no Content-Type was sent" if sent is None else f"the Content-Type sent is {sent[:80]}"
        raise MediaTypeUnsupported(
            f"The body must be {' or '.join(accepted)} in UTF-8; {stated}",
            hint="Send the header 'Content-Type: application/json'.",
        )


def _is_accepted(header: str, accepted: Collection[str]) -> bool:
    """Return whether a Content-Type (RFC 9110 section 8.3) is one of these types, in UTF-8.

    aiohttp's own parser takes quadratic time and recurses: 8 KB of semicolons took 0.7 s, and 240 parentheses caused
    a 500.
    """
    media_type, *parameters = (part.strip().lower() for part in header[: MAX_MEDIA_TYPE + 1].split(";"))
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    return (
        len(header) <= MAX_MEDIA_TYPE
        and media_type in accepted
        and named.get("charset", "utf-8").strip('"') in ("utf-8", "utf8")
    )
