"""Writing key files. shared/tokens/keyring.py reads and checks them.

The life of a key: `add` makes every service accept it, `promote` makes auth sign with it, and `retire` removes it once
every token that it signed has expired. A key that has stopped signing records when, as `signed_until`, a member of its
JWK beside those of RFC 7517.
"""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared import base64url
from shared.errors import StartupError
from shared.tokens import keyring
from shared.tokens.keyring import MIN_KEY_BYTES, POLL_SECONDS
from shared.tokens.keys import KeySet
from shared.tokens.signatures import ALGORITHM

NOTICE_SECONDS = 2 * POLL_SECONDS
"""How long a service may take to notice a changed file, and so may keep signing with the previous key."""

Entry = dict[str, Any]


def new(file: Path) -> str:
    """Write a keyring with one fresh key, mode 0600, and return the key's id.

    Raises:
        StartupError: the file exists, is a symbolic link, or can't be written.
    """
    entry = _fresh_key()
    with _reported(file), _locked(file):
        if file.is_symlink():  # to a file that doesn't exist, it would put the key in a folder of someone else's choice
            raise StartupError(f"{file} is a symbolic link; name the file itself")
        if file.exists():
            raise StartupError(f"{file} already exists; it was not changed")
        _write(file, [entry])
    return str(entry["kid"])


def add(file: Path) -> str:
    """Add a new key at the end, where it verifies but doesn't sign, and return its id.

    Raises:
        StartupError: the file can't be read or written, or is not a valid keyring.
    """
    entry = _fresh_key()
    with _changing(file) as entries:
        entries.append(entry)
    return str(entry["kid"])


def promote(file: Path, kid: str, now: float) -> None:
    """Make a key the signing key, as of `now` (seconds since the epoch).

    The caller makes sure that every service has it.

    Raises:
        StartupError: there is no such key, or it is the signing key already; or as for `add`.
    """
    with _changing(file) as entries:
        position = _position(entries, kid, file)
        if position == 0:
            raise StartupError(f"{kid} is already the signing key")
        entries[0]["signed_until"] = int(now)
        promoted = entries.pop(position)
        promoted.pop("signed_until", None)
        entries.insert(0, promoted)


def retire(file: Path, kid: str, now: float, *, token_seconds: float, force: bool = False) -> None:
    """Remove a key, if every token that it signed has expired at `now`.

    Args:
        file: The keyring.
        kid: The key.
        now: Seconds since the epoch.
        token_seconds: How long a token is accepted at most: its lifetime plus the leeway.
        force: Remove it even if its tokens may still be valid; their holders must sign in again.

    Raises:
        StartupError: there is no such key, it is the signing key, or its tokens may still be valid; or as for `add`.
    """
    with _changing(file) as entries:
        position = _position(entries, kid, file)
        if position == 0:
            raise StartupError(f"{kid} is the signing key; promote another key first")
        if "signed_until" in entries[position] and not force:
            wait = entries[position]["signed_until"] + NOTICE_SECONDS + token_seconds - now
            if wait > 0:
                raise StartupError(
                    f"tokens signed with {kid} may be valid for another {int(wait) + 1} s; wait, or use --force, after "
                    "which their holders must sign in again"
                )
        del entries[position]


def read(file: Path) -> KeySet:
    """Read and check a keyring.

    Raises:
        StartupError: the file can't be read, or is not a valid keyring.
    """
    return keyring.read(_read(file))


def _fresh_key() -> Entry:
    while True:
        secret = secrets.token_bytes(MIN_KEY_BYTES)
        kid = keyring.kid_of(secret)
        # one in about ten thousand looks like DER; one in 64 has a kid that a command line would take for an option
        if keyring.weakness(secret) is None and not kid.startswith("-"):
            return {"kty": "oct", "alg": ALGORITHM, "use": "sig", "kid": kid, "k": base64url.encode(secret)}


def _position(entries: list[Entry], kid: str, file: Path) -> int:
    kids = [entry["kid"] for entry in entries]
    if kid not in kids:
        raise StartupError(f"{file} has no key {kid}; it has {', '.join(kids)}")
    return kids.index(kid)


@contextmanager
def _changing(file: Path) -> Iterator[list[Entry]]:
    """Yield the entries of a file for changing, and write them back afterwards; concurrent changes take turns.

    Symbolic links are followed. The target must already be a valid key file, so a link gives its owner no new power.
    """
    with _reported(file), _locked(file):
        content = _read(file)
        keyring.read(content)
        document = json.loads(content)
        yield document["keys"]
        _write(file, document["keys"])


@contextmanager
def _reported(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartupError(f"{file} can't be written: {error.strerror}") from None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Lock the file's folder against other writers. The lock ends with the process, even if it is killed."""
    folder = os.open(file.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartupError(f"{file} can't be read: {error.strerror}") from None


def _write(file: Path, entries: list[Entry]) -> None:
    """Replace the file atomically. A link stays a link, and the file's readers keep access."""
    target = file.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new")
    content = json.dumps({"keys": entries}, indent=2) + "\n"
    keyring.read(content.encode())
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            if target.exists():
                before = target.stat()
                # a group that could read it still can; others never
                os.fchmod(out.fileno(), stat.S_IMODE(before.st_mode) & 0o640)
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def unready(kid: str, answers: dict[str, Any]) -> Iterator[str]:
    """Yield why `kid` can't be promoted yet, from readiness answers by URL (None for no answer)."""
    for url, answer in answers.items():
        if not isinstance(answer, dict):
            yield f"{url} is not ready"
            continue
        lists = [kids for kids in (answer.get("kids"), answer.get("private_kids")) if isinstance(kids, list)]
        if not any(kid in kids for kids in lists):
            yield f"{url} does not list {kid} yet; services notice a changed file within {NOTICE_SECONDS:.0f} s"
        elif answer.get("keyring") != "ok":
            # its words are not repeated: a service that is taken over would speak to the operator's terminal
            yield f"{url} does not report its keyring as ok"
