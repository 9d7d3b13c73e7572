"""Where a page of a list ends and the next one begins, as an opaque text."""

import binascii
import zlib

from posts_service.errors import CursorInvalid
from shared.keyring import decode, encode

VERSION = 1
MAX_ID = 2**63 - 1

_CONTENT_BYTES = 9
_CHECKSUM_BYTES = 4


def write(last_id: int) -> str:
    """The cursor of the page that follows the post `last_id`. It grants nothing, so it is only checksummed."""
    content = bytes([VERSION]) + last_id.to_bytes(8, "big")
    return encode(content + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big"))


def read(text: str) -> int:
    """The id of the post before the page.

    Raises:
        CursorInvalid: the text is not one that `write` gave.
    """
    try:
        data = decode(text)
    except (ValueError, binascii.Error):
        data = b""
    content, checksum = data[:_CONTENT_BYTES], data[_CONTENT_BYTES:]
    if (
        len(content) != _CONTENT_BYTES
        or zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") != checksum
        or content[0] != VERSION
    ):
        raise CursorInvalid(
            "The cursor is not one of this service", hint="Take it from `next` as it is, or leave it out."
        )
    last_id = int.from_bytes(content[1:], "big")
    if last_id > MAX_ID:
        raise CursorInvalid("The cursor is not one of this service")
    return last_id
