"""Where a page of a list ends and the next one begins, as an opaque text.

A cursor grants nothing: whoever makes one up sees what the list shows anyway. So it carries a checksum against
accidents, and no signature.
"""

import zlib

from shared.errors import Problem
from shared.keyring import decode, encode

VERSION = b"\x01"
_CHECKSUM_BYTES = 4


class CursorInvalid(Problem):
    """The cursor is none that this service gave out."""

    status, code = 400, "cursor_invalid"


def write(position: bytes) -> str:
    """The cursor of the page that follows this position."""
    content = VERSION + position
    return encode(content + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big"))


def read(text: str, size: int) -> bytes:
    """The position that a cursor stands for.

    Args:
        text: The cursor.
        size: Bytes of a position in this list.

    Raises:
        CursorInvalid: the text is not one that `write` gave for such a list.
    """
    try:
        data = decode(text)
    except ValueError:
        data = b""
    content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    whole = len(content) == len(VERSION) + size and zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") == checksum
    if not whole or not content.startswith(VERSION):
        raise CursorInvalid("The cursor is not one of this list", hint="Take it from `next` as it is, or leave it out.")
    return content[len(VERSION) :]
