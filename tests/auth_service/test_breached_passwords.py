"""Passwords from leaks, in files of Have I Been Pwned's range format."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from auth_service.breached_passwords import BreachedPasswords
from shared.errors import StartupError
from tests.api_client import auth_app, new_email
from tests.auth_service.alone import alone, says

LEAKED = "ferns whistle behind ten teapots"


def split(password: str) -> tuple[str, str]:
    """The name of the file that a password is in, and its suffix there."""
    digest = hashlib.sha1(password.encode()).hexdigest().upper()  # noqa: S324  the format's
    return digest[:5], digest[5:]


PREFIX, SUFFIX = split(LEAKED)
OTHERS = "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:2\r\n"


async def test_a_leaked_password_is_refused(tmp_path: Path, database_url: str, keyring_file: Path) -> None:
    """With BREACHED_PASSWORDS_DIR, a password from a leak is neither registered nor changed to; others are."""
    (tmp_path / f"{PREFIX}.txt").write_text(f"{OTHERS}{SUFFIX}:3\r\n")
    async with alone(database_url, keyring_file, breached_passwords_dir=tmp_path) as auth:
        reply = await auth.register(new_email(), LEAKED)
        assert says(reply) == (422, "validation_failed")
        [error] = reply.body["errors"]
        assert (error["pointer"], error["code"]) == ("/password", "password_breached")
        assert "leak" in error["message"]
        member = await auth.join()
        change = {"current_password": "a long enough passphrase", "new_password": LEAKED}
        reply = await auth.ask("POST", "/me/password", change, member.tokens.account)
        assert [(error["pointer"], error["code"]) for error in reply.body["errors"]] == [
            ("/new_password", "password_breached")
        ]


@pytest.mark.parametrize("name", [PREFIX, PREFIX.lower(), f"{PREFIX}.txt", f"{PREFIX.lower()}.txt"])
@pytest.mark.parametrize(
    "line", [f"{SUFFIX}:3\r\n", f"{SUFFIX.lower()}:3\n", f"{SUFFIX}:3", SUFFIX, f"\ufeff{SUFFIX}:1"]
)
def test_each_spelling_of_the_format_is_read(tmp_path: Path, name: str, line: str) -> None:
    """The name of a file may have an ending, and digits, line ends and counts may be written either way."""
    (tmp_path / name).write_text(line, encoding="utf-8", newline="")
    assert BreachedPasswords(tmp_path).contain(LEAKED)


@pytest.mark.parametrize(
    "content",
    ["", OTHERS, f"{SUFFIX}:0\r\n", f"x{SUFFIX}:3\n", f"{SUFFIX[:-1]}:3\n", "\0" * 100, f"{'x' * 256}{SUFFIX}:3\n"],
)
def test_what_is_not_in_the_file_is_not_found(tmp_path: Path, content: str) -> None:
    """Another suffix, padding with a count of 0, and what isn't a line of the format are no leak."""
    (tmp_path / PREFIX).write_text(content, newline="")
    assert not BreachedPasswords(tmp_path).contain(LEAKED)


def test_without_a_file_a_password_is_not_found(tmp_path: Path) -> None:
    """A folder may have some of the files only."""
    (tmp_path / PREFIX).write_text(f"{SUFFIX}:3")
    assert not BreachedPasswords(tmp_path).contain("another password")


def test_a_folder_that_can_not_be_read_ends_the_start(tmp_path: Path, keyring_file: Path) -> None:
    """A missing folder, and a file in its place, are named with the setting."""
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(StartupError, match=f"BREACHED_PASSWORDS_DIR {wrong}: .*; name the folder"):
            auth_app("postgresql://nobody@localhost/nothing", keyring_file, breached_passwords_dir=wrong)


def test_a_huge_file_is_never_in_memory(tmp_path: Path) -> None:
    """A file is read a line at a time, and a line that never ends in pieces."""
    (tmp_path / PREFIX).write_bytes(b"x" * 20_000_000 + b"\n" + OTHERS.encode() * 1000 + f"{SUFFIX}:3".encode())
    breached = BreachedPasswords(tmp_path)
    tracemalloc.start()
    try:
        assert breached.contain(LEAKED)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
