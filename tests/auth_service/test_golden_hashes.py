"""Hashes of every format, made once: whatever package checks passwords must read what is in databases."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import bcrypt

from auth_service.passwords import PasswordHasher

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden_hashes.json").read_text(encoding="utf-8"))
BCRYPT_BYTES = 72
"""What bcrypt reads of a password; the formats with SHA-256 read all of it."""


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    """A hasher whose cost is that of the cheaper hashes, so that nothing more is computed."""
    return PasswordHasher(4, threads=1)


def reads_all(entry: dict[str, Any]) -> bool:
    """Whether the format reads a password of any length."""
    return str(entry["format"]).startswith("bcrypt_sha256")


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: f"{entry['format']}, cost {entry['cost']}")
@pytest.mark.slow
async def test_a_stored_hash_is_still_right(hasher: PasswordHasher, entry: dict[str, Any]) -> None:
    """The password is right and others are wrong; what isn't today's format and cost is outdated."""
    password = entry["password"]
    today = entry["format"] == "bcrypt_sha256 v2" and entry["cost"] == 4
    assert await hasher.verify(password, entry["hash"]) == (True, not today)
    assert (await hasher.verify("x" + password[1:] + "!", entry["hash"]))[0] is (
        password[0] == "x" and not reads_all(entry)
    )
    if len(password.encode()) > BCRYPT_BYTES:
        assert (await hasher.verify(password + "!", entry["hash"]))[0] is not reads_all(entry)


async def test_a_new_hash_of_a_long_password(hasher: PasswordHasher) -> None:
    """New hashes read all of a password."""
    long = "🦉" * 64
    made = await hasher.hash(long + "A")
    assert (await hasher.verify(long + "A", made), await hasher.verify(long + "B", made)) == (
        (True, False),
        (False, False),
    )


def test_every_format_is_there() -> None:
    """Each format has both costs, a password of 80 bytes and one beyond ASCII in NFC, none with NUL."""
    formats = {"bcrypt_sha256 v1", "bcrypt_sha256 v2", "bcrypt 2a", "bcrypt 2b"}
    assert {(entry["format"], entry["cost"]) for entry in GOLDEN} == {
        (name, cost) for name in formats for cost in (4, 12)
    }
    for name in formats:
        passwords = [entry["password"] for entry in GOLDEN if entry["format"] == name]
        assert {len(password.encode()) for password in passwords} >= {80}
        assert any(not password.isascii() for password in passwords)
        assert all(unicodedata.is_normalized("NFC", password) and "\0" not in password for password in passwords)
    assert all(
        ("$2a$" in entry["hash"]) == (entry["format"] == "bcrypt 2a") for entry in GOLDEN if not reads_all(entry)
    )
    assert all(bcrypt.identify(entry["hash"]) is not reads_all(entry) for entry in GOLDEN)
