"""The only code that writes key files. Reading and checking them is shared/keyring.py.

The life of a key: `add` makes every service know it, `promote` makes auth sign with it, `retire` takes it away once
nothing that it signed can live any more. A key that has stopped signing keeps the time of that as `signed_until`, a
member of its JWK beside those of RFC 7517.
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

from shared import keyring
from shared.errors import StartupError
from shared.keyring import ALGORITHM, MIN_KEY_BYTES, POLL_SECONDS, KeySet

NOTICE_SECONDS = 2 * POLL_SECONDS
"""How long a service may take to notice a changed file, so how long it may still sign with the key from before."""

Entry = dict[str, Any]


def new(file: Path) -> str:
    """Write a keyring with one fresh key, mode 0600, and return the key's id.

    Raises:
        StartupError: there is such a file already, or it can't be written.
    """
    entry = _fresh_key()
    with _reported(file), _locked(file):
        if file.exists():
            raise StartupError(f"{file} is there already; it is kept as it is")
        _write(file, [entry])
    return str(entry["kid"])


def add(file: Path) -> str:
    """Add a fresh key at the end, where it verifies but does not sign, and return its id.

    Raises:
        StartupError: the file can't be read or written, or is no sound keyring.
    """
    entry = _fresh_key()
    with _changing(file) as entries:
        entries.append(entry)
    return str(entry["kid"])


def promote(file: Path, kid: str, now: float) -> None:
    """Make a key the one that signs, as of `now` (seconds since the epoch). That everybody knows it is not asked here.

    Raises:
        StartupError: there is no such key, or it signs already; or as `add`.
    """
    with _changing(file) as entries:
        position = _position(entries, kid, file)
        if position == 0:
            raise StartupError(f"{kid} is the signing key already")
        entries[0]["signed_until"] = int(now)
        promoted = entries.pop(position)
        promoted.pop("signed_until", None)
        entries.insert(0, promoted)


def retire(file: Path, kid: str, now: float, *, token_seconds: float, force: bool = False) -> None:
    """Take a key away, if no token of it can live at `now`.

    Args:
        file: The keyring.
        kid: The key.
        now: Seconds since the epoch.
        token_seconds: Longest time a token is taken for: its lifetime and the leeway.
        force: Take it away even though tokens of it may live; who holds one must sign in again.

    Raises:
        StartupError: there is no such key, it is the signing one, or tokens of it may live; or as `add`.
    """
    with _changing(file) as entries:
        position = _position(entries, kid, file)
        if position == 0:
            raise StartupError(f"{kid} is the signing key; promote another one first")
        if "signed_until" in entries[position] and not force:
            wait = entries[position]["signed_until"] + NOTICE_SECONDS + token_seconds - now
            if wait > 0:
                raise StartupError(
                    f"tokens that {kid} signed may live for another {int(wait) + 1} s; wait, or retire it with --force "
                    "and make their holders sign in again"
                )
        del entries[position]


def read(file: Path) -> KeySet:
    """Read and check a keyring.

    Raises:
        StartupError: the file can't be read, or is no sound keyring.
    """
    return keyring.read(_read(file))


def _fresh_key() -> Entry:
    while True:
        secret = secrets.token_bytes(MIN_KEY_BYTES)
        kid = keyring.kid_of(secret)
        # one in some ten thousand happens to look like DER; one in 64 has a kid that a command line takes for an option
        if keyring.weakness(secret) is None and not kid.startswith("-"):
            return {"kty": "oct", "alg": ALGORITHM, "use": "sig", "kid": kid, "k": keyring.encode(secret)}


def _position(entries: list[Entry], kid: str, file: Path) -> int:
    kids = [entry["kid"] for entry in entries]
    if kid not in kids:
        raise StartupError(f"{file} has no key {kid}; it has {', '.join(kids)}")
    return kids.index(kid)


@contextmanager
def _changing(file: Path) -> Iterator[list[Entry]]:
    """Give the keys of a file to be changed, and write them back; two that change it at once take turns."""
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
    """Keep others from changing files of this folder; the lock ends with the process, whatever happens to it."""
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
    """Make the file appear whole or not at all. A link stays a link, and who could read the file still can."""
    target = file.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new")
    content = json.dumps({"keys": entries}, indent=2) + "\n"
    keyring.read(content.encode())
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            if target.exists():
                before = target.stat()
                # a group that could read it still can; nobody else ever
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
    """Say of each readiness answer (by its URL; None where there was none) why `kid` can't be promoted yet."""
    for url, answer in answers.items():
        if not isinstance(answer, dict):
            yield f"{url} does not answer as ready"
        elif kid not in answer.get("kids", ()):
            yield f"{url} does not list {kid} yet; it notices a changed file within {NOTICE_SECONDS:.0f} s"
        elif answer.get("keyring") != "ok":
            yield f"{url} says that its keyring is {answer.get('keyring')}"
