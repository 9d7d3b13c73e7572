"""Conditional requests (RFC 9110 section 13): the headers If-Match and If-None-Match."""

import re
from collections.abc import Sequence

from shared.http.errors import HeaderInvalid
from shared.http.routes import RequestHeader

EntityTags = Sequence[str] | None
"""The tags in a header, as they were sent; ["*"] for any; None without the header."""

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# elements may be empty (RFC 9110 section 5.6.1.2)
_TAGS = rf"[\s,]*{_TAG}\s*(?:,[\s,]*{_TAG}\s*)*(?:,[\s,]*)?"
_LIST = re.compile(_TAGS)
_ONE = re.compile(_TAG)
_PATTERN = rf"\s*\*\s*|{_TAGS}"


def header(name: str, description: str) -> RequestHeader[EntityTags]:
    """Make a request header that lists entity tags."""

    def read(values: Sequence[str]) -> EntityTags:
        if not values:
            return None
        text = ", ".join(values)
        if text.strip() == "*":
            return ["*"]
        if not _LIST.fullmatch(text):
            raise HeaderInvalid.of(name, 'it must be "*" or a comma-separated list of tags in double quotes')
        return _ONE.findall(text)

    return RequestHeader(name, description, _PATTERN, '"1"', read)


IF_MATCH = header("If-Match", "Proceed only if the resource still has one of these ETags; `*` for any")
IF_NONE_MATCH = header("If-None-Match", "Answer in full only if the resource has none of these ETags")


def matches(tags: EntityTags, etag: str, *, weakly: bool) -> bool:
    """Return whether the tags include this strong tag.

    Args:
        tags: The header's tags.
        etag: The resource's tag.
        weakly: Whether to ignore the W/ prefix (RFC 9110 section 8.8.3.2).
    """
    if tags is None:
        return False
    return any(tag in ("*", etag) or (weakly and tag.removeprefix("W/") == etag) for tag in tags)
