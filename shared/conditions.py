"""Conditional requests (RFC 9110 section 13): the entity tags that a client names."""

import re
from collections.abc import Sequence

from aiohttp import web

from shared.errors import HeaderInvalid
from shared.routes import Header

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# elements may be empty (RFC 9110 section 5.6.1.2)
_TAGS = rf"[\s,]*{_TAG}\s*(?:,[\s,]*{_TAG}\s*)*(?:,[\s,]*)?"
_LIST = re.compile(_TAGS)
_ONE = re.compile(_TAG)
_PATTERN = rf"\s*\*\s*|{_TAGS}"

IF_MATCH = Header("If-Match", "Only if it still has one of these ETags; `*` for any", _PATTERN, '"1"')
IF_NONE_MATCH = Header("If-None-Match", "Only if it has none of these ETags by now", _PATTERN, '"1"')


def entity_tags(request: web.Request, header: str) -> Sequence[str] | None:
    """The tags that If-Match or If-None-Match names, as they stand there; ["*"] for any; None without the header.

    Raises:
        HeaderInvalid: it is no list of entity tags.
    """
    values = request.headers.getall(header, [])
    if not values:
        return None
    text = ", ".join(values)
    if text.strip() == "*":
        return ["*"]
    if not _LIST.fullmatch(text):
        raise HeaderInvalid.of(header, 'it must be "*" or tags in double quotes with a comma between two')
    return _ONE.findall(text)


def matches(request: web.Request, header: str, etag: str, *, weakly: bool) -> bool:
    """Whether the header names this strong tag. A weak comparison ignores the W/ (RFC 9110 section 8.8.3.2)."""
    tags = entity_tags(request, header)
    if tags is None:
        return False
    return any(tag in ("*", etag) or (weakly and tag.removeprefix("W/") == etag) for tag in tags)
