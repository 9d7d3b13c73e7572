"""Reading a keyring, rejecting unsafe keys, and noticing a changed file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shared.base64url import encode
from shared.errors import StartupError
from shared.tokens import keyring
from shared.tokens.keyring import Keyring, kid_of

SECRET = bytes(range(32))


def entry(secret: bytes = SECRET, **changes: Any) -> dict[str, Any]:
    """A key as a member of a keyring."""
    return {"kty": "oct", "alg": "HS256", "use": "sig", "kid": kid_of(secret), "k": encode(secret), **changes}


def text(*entries: object) -> bytes:
    """A keyring with these keys."""
    return json.dumps({"keys": entries}).encode()


def test_the_first_key_signs_and_all_verify() -> None:
    """Keys keep their order, and the first one signs."""
    other = bytes(range(1, 41))
    keys = keyring.read(text(entry(), entry(other)))
    assert keys.kids == [kid_of(SECRET), kid_of(other)]
    assert keys.signing.kid == kid_of(SECRET)


def test_a_kid_is_derived_from_the_key() -> None:
    """A kid has 96 bits and depends on the whole key."""
    assert len(kid_of(SECRET)) == 16
    assert kid_of(SECRET) != kid_of(SECRET + b"x")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not JSON"),
        (b"secret", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"keys": [], "keys": []}', "appears twice"),
        (b"[]", "not a JWK Set"),
        (b'{"keys": []}', "at least one key"),
        (b'{"keys": {}}', "at least one key"),
        (text("x"), "not a JSON object"),
        (text(entry(kty="RSA")), '"kty": "oct"'),
        (text(entry(alg="none")), '"alg": "HS256"'),
        (text(entry(use="enc")), '"use": "sig"'),
        (text(entry(k=None)), 'no "k"'),
        (text(entry(k="not base64!")), "not base64url"),
        (text(entry(k=encode(SECRET) + "=")), "not base64url"),
        (text(entry(kid="mine")), "has the wrong kid"),
        (text(entry(), entry()), "duplicate"),
        (text(entry(SECRET[:31])), "has 31 bytes"),
        (text(entry(b"")), "has 0 bytes"),
        (text(entry(b"a" * 32)), "repeats itself"),
        (text(entry(b"0123456789abcdef" * 2)), "is text"),
        (text(entry(b"a-string-secret-at-least-256-bits-long")), "published example"),
        (text(entry(b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n")), "asymmetric key"),
        (text(entry(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq9 someone")), "asymmetric key"),
        (text(entry(SECRET + b"ssh-rsa AAAAB3NzaC1yc2E")), "asymmetric key"),
        (text(entry(SECRET + b"\n-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n")), "asymmetric key"),
        (text(entry(b"\x30\x1e" + SECRET[:30])), "asymmetric key"),
        (text(entry(b"\x30\x82\x00\x28" + bytes(range(40)))), "asymmetric key"),
        (b" " * 65537, "at most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsafe_keyring_is_refused_with_the_reason(bad: bytes, reason: str) -> None:
    """The error about an unsafe keyring says why it is refused and never shows key material."""
    with pytest.raises(StartupError) as error:
        keyring.read(bad)
    assert reason in str(error.value)
    assert encode(SECRET)[:20] not in str(error.value)


def test_keys_do_not_show() -> None:
    """The repr of a keyring never shows a secret."""
    keys = keyring.read(text(entry()))
    assert encode(SECRET) not in repr(keys)
    assert repr(SECRET) not in repr(keys)


def test_a_keyring_has_one_source(tmp_path: Path) -> None:
    """The keyring comes from a file or from a variable; neither or both are refused."""
    file = tmp_path / "keyring.json"
    file.write_bytes(text(entry()))
    assert Keyring(file=file).current.kids == Keyring(text=text(entry()).decode()).current.kids
    with pytest.raises(StartupError, match="one of the two"):
        Keyring()
    with pytest.raises(StartupError, match="one of the two"):
        Keyring(file=file, text="x")


def test_a_missing_file_gets_a_hint(tmp_path: Path) -> None:
    """The error about a missing key file names the command that makes one."""
    with pytest.raises(StartupError, match="keys new"):
        Keyring(file=tmp_path / "none.json")


class Clock:
    """A clock that the test moves by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file with one key."""
    file = tmp_path / "keyring.json"
    file.write_bytes(text(entry()))
    return file


OTHER = bytes(range(1, 33))


async def test_a_changed_file_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running service picks up a changed key file without a restart."""
    monkeypatch.setattr(keyring, "POLL_SECONDS", 0.01)
    ring = Keyring(file=file)
    async with ring.watched():
        file.write_bytes(text(entry(OTHER), entry()))
        async with asyncio.timeout(10):
            while ring.current.kids != [kid_of(OTHER), kid_of(SECRET)]:
                await asyncio.sleep(0.01)


async def test_rechecks_are_rate_limited(file: Path, clock: Clock) -> None:
    """A recheck reads the file at most once in RECHECK_SECONDS; in between, the last result counts."""
    ring = Keyring(file=file, clock=clock)
    before = ring.current
    file.write_bytes(text(entry(), entry(OTHER)))
    assert not await ring.recheck(before)
    clock.now += keyring.RECHECK_SECONDS
    assert await asyncio.gather(*(ring.recheck(before) for _ in range(5))) == [True] * 5
    assert ring.current.kids == [kid_of(SECRET), kid_of(OTHER)]
    file.write_bytes(text(entry()))
    assert await ring.recheck(before)
    assert len(ring.current.kids) == 2


@pytest.mark.parametrize("broken", [b"", b"{", text(), text(entry(b"short")), None])
async def test_a_broken_file_changes_nothing(
    file: Path, clock: Clock, broken: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """An unusable file leaves the keys as they were and is logged once; a repaired file clears the fault."""
    ring = Keyring(file=file, clock=clock)
    before = ring.current
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken)
    for _ in range(3):
        clock.now += keyring.RECHECK_SECONDS
        assert not await ring.recheck(before)
    assert ring.current is before
    assert ring.fault
    assert sum("was not reloaded" in record.message for record in caplog.records) == 1
    assert encode(SECRET)[:20] not in caplog.text
    file.write_bytes(text(entry()))
    clock.now += keyring.RECHECK_SECONDS
    await ring.recheck(before)
    assert ring.fault is None
    assert ring.current is before


async def test_a_replaced_symlink_is_noticed(file: Path, tmp_path: Path, clock: Clock) -> None:
    """A mounted secret that is updated by replacing a symlink, as Kubernetes does, is noticed."""
    link, other = tmp_path / "link.json", tmp_path / "other.json"
    other.write_bytes(text(entry(OTHER)))
    link.symlink_to(file)
    ring = Keyring(file=link, clock=clock)
    before = ring.current
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").replace(link)
    clock.now += keyring.RECHECK_SECONDS
    assert await ring.recheck(before)
    assert ring.current.kids == [kid_of(OTHER)]


async def test_a_wholly_different_file_is_used_and_reported(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that have nothing in common with the previous ones are used, with a warning until the old file is back."""
    ring = Keyring(file=file, clock=clock)

    async def change(*secrets: bytes) -> None:
        before = ring.current
        file.write_bytes(text(*map(entry, secrets)))
        clock.now += keyring.RECHECK_SECONDS
        assert await ring.recheck(before)

    third = bytes(range(2, 34))
    await change(SECRET, OTHER)
    await change(OTHER)
    assert (ring.replaced, caplog.records) == (False, [])
    await change(SECRET)
    assert ring.replaced
    assert ring.current.kids == [kid_of(SECRET)]
    assert f"none of the previous keys ({kid_of(OTHER)}) is left" in caplog.text
    await change(third, SECRET)
    assert ring.replaced, "these don't follow from the keys that were in use either"
    await change(OTHER)
    assert not ring.replaced
