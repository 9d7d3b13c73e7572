"""Cursors: where a page of a list ends and the next one begins, as opaque text.

A cursor grants nothing that the list doesn't show anyway, so it has a checksum against accidents and no signature.
"""

import zlib

from shared import base64url
from shared.errors import DomainError, Kind

VERSION = b"\x01"
_CHECKSUM_BYTES = 4


class CursorInvalid(DomainError):
    """The cursor was not issued by this service."""

    kind, code = Kind.MALFORMED, "cursor_invalid"


def write(position: bytes) -> str:
    """Return the cursor of the page that follows this position."""
    content = VERSION + position
    return base64url.encode(content + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big"))


def read(text: str, size: int) -> bytes:
    """Return the position that a cursor stands for.

    Args:
        text: The cursor.
        size: Bytes of a position in this list.

    Raises:
        CursorInvalid: `write` did not make it for a list with such positions.
    """
    try:
        data = base64url.decode(text)
    except ValueError:
        data = b""
    content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    whole = len(content) == len(VERSION) + size and zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") == checksum
    if not whole or not content.startswith(VERSION):
        raise CursorInvalid(
            "The cursor was not issued for this list", hint="Use the value of `next` unchanged, or leave cursor out."
        )
    return content[len(VERSION) :]
