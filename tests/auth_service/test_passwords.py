"""Hashing off the event loop."""

import asyncio
import threading

import pytest

from auth_service.passwords import QUEUE_PER_THREAD, PasswordHasher
from shared.errors import Busy, StartupError


@pytest.fixture
def hasher() -> PasswordHasher:
    """A hasher of the lowest cost, with one thread."""
    hasher = PasswordHasher(4, threads=1)
    hasher.prove()
    return hasher


async def test_nobody_has_the_dummy_password(hasher: PasswordHasher) -> None:
    """Without a hash the answer is no, whatever the password."""
    for password in ("", "x", "a long enough passphrase"):
        assert await hasher.verify(password, None) == (False, None)


async def test_unknown_address_costs_a_hash_of_the_same_kind(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hash to check, one of the same scheme and cost is checked all the same."""
    checked: list[str] = []
    verify = hasher._context.verify_and_update

    def spy(password: str, password_hash: str) -> object:
        checked.append(password_hash)
        return verify(password, password_hash)

    monkeypatch.setattr(hasher._context, "verify_and_update", spy)
    await hasher.verify("x", None)
    await hasher.verify("x", await hasher.hash("y"))
    assert [text.rsplit("$", 2)[0] for text in checked] == ["$bcrypt-sha256$v=2,t=2b,r=4"] * 2


async def test_hashing_is_off_the_event_loop(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hash is computed in the thread of the event loop."""
    threads: list[str] = []

    def note(_: str) -> str:
        threads.append(threading.current_thread().name)
        return ""

    monkeypatch.setattr(hasher, "_hash", note)
    await hasher.hash("x")
    assert threads[0] != threading.current_thread().name


async def test_the_queue_is_bounded(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When thread and queue are full, the next one is told at once to come back, and room comes back with time."""
    gate = threading.Event()

    def wait(_: str) -> str:
        gate.wait(10)
        return "hash"

    monkeypatch.setattr(hasher, "_hash", wait)
    waiting = [asyncio.create_task(hasher.hash("x")) for _ in range(1 + QUEUE_PER_THREAD)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as error:
        await hasher.hash("x")
    assert error.value.retry_after
    gate.set()
    assert await asyncio.gather(*waiting) == ["hash"] * len(waiting)
    assert await hasher.hash("x") == "hash"


async def test_who_left_is_not_hashed_for(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that is cancelled before its turn is never computed."""
    gate, computed = threading.Event(), []

    def wait(password: str) -> str:
        gate.wait(10)
        computed.append(password)
        return "hash"

    monkeypatch.setattr(hasher, "_hash", wait)
    first, second, third = (asyncio.create_task(hasher.hash(name)) for name in ("first", "second", "third"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, third)
    assert computed == ["first", "third"]


def test_start_up_proves_that_hashing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bcrypt that passlib can't work with ends the start with a line that says the mend."""
    hasher = PasswordHasher(4)

    def raises(_: str) -> str:
        raise ValueError("password cannot be longer than 72 bytes")

    monkeypatch.setattr(hasher._context, "hash", raises)
    with pytest.raises(StartupError, match=r"requirements/auth\.txt"):
        hasher.prove()
