"""The only code that writes key files. Reading and checking them is shared/keyring.py."""

import json
import os
import secrets
from pathlib import Path

from shared.errors import StartupError
from shared.keyring import ALGORITHM, MIN_KEY_BYTES, encode, kid_of, weakness


def new(file: Path) -> str:
    """Write a keyring with one fresh key, mode 0600, and return the key's id.

    Raises:
        StartupError: there is such a file already, or it can't be written.
    """
    secret = _fresh_secret()
    kid = kid_of(secret)
    entry = {"kty": "oct", "alg": ALGORITHM, "use": "sig", "kid": kid, "k": encode(secret)}
    _write(file, json.dumps({"keys": [entry]}, indent=2) + "\n")
    return kid


def _fresh_secret() -> bytes:
    while True:
        secret = secrets.token_bytes(MIN_KEY_BYTES)
        # one in some ten thousand happens to look like DER
        if weakness(secret) is None:
            return secret


def _write(file: Path, text: str) -> None:
    """Make the file appear whole or not at all, and never over another."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(temporary, file)  # unlike a rename, it fails where the name is taken
        finally:
            temporary.unlink()
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise StartupError(f"{file} is there already; it is kept as it is") from None
    except OSError as error:
        raise StartupError(f"{file} can't be written: {error.strerror}") from None
