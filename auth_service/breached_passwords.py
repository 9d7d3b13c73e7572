"""Passwords that are known from leaks, in a folder that the operator downloaded from Have I Been Pwned."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import StartupError

_PREFIX_DIGITS = 5
_LINE_BYTES = 256
"""A line is a suffix of 35 digits and a count; what is longer is read in pieces, and only the first one counts."""


class BreachedPasswords:
    """Looks passwords up by their SHA-1 in range files: `5BAA6` or `5BAA6.TXT`, in any case, has lines `SUFFIX:COUNT`.

    Args:
        directory: The folder with the files.

    Raises:
        StartupError: the folder can't be read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            with os.scandir(directory) as entries:
                next(entries, None)
        except OSError as error:
            raise StartupError(
                f"BREACHED_PASSWORDS_DIR {directory}: {error.strerror}; name the folder of the range files"
            ) from None

    def contain(self, password: str) -> bool:
        """Return whether a password is in the file of its prefix; without that file, it is not. Blocks on the disk."""
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        prefix, suffix = digest[:_PREFIX_DIGITS].decode(), digest[_PREFIX_DIGITS:]
        for name in (prefix, prefix.lower()):
            for ending in ("", ".txt", ".TXT"):
                try:
                    file = (self._directory / f"{name}{ending}").open("rb")
                except FileNotFoundError:
                    continue
                with file:
                    if any(_lists(line, suffix) for line in _lines(file)):
                        return True
        return False


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the beginning of each line; a file is never in memory as a whole, whatever is in it."""
    at_start = True
    while piece := file.readline(_LINE_BYTES):
        if at_start:
            yield piece
        at_start = piece.endswith(b"\n")


def _lists(line: bytes, suffix: bytes) -> bool:
    """Return whether a line has this suffix. A count of 0 is padding, which the service adds to its answers."""
    found, _, count = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
    return found.strip().upper() == suffix and count.strip() != b"0"
