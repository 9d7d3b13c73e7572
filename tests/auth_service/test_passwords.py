"""Hashing off the event loop."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bcrypt as bcrypt_library
import pytest
from passlib.hash import bcrypt, bcrypt_sha256

from auth_service.handlers import ACCOUNTS
from auth_service.passwords import QUEUE_PER_THREAD, PasswordHasher
from auth_service.throttle import _key
from shared.errors import Busy, StartupError
from tests.api_client import PASSWORD, new_address, new_email
from tests.auth_service.alone import Auth, alone, says


@pytest.fixture
def hasher() -> PasswordHasher:
    """A hasher of the lowest cost, with one thread."""
    hasher = PasswordHasher(4, threads=1)
    hasher.prove()
    return hasher


async def test_nobody_has_the_dummy_password(hasher: PasswordHasher) -> None:
    """Without a hash the answer is no, whatever the password."""
    for password in ("", "x", "a long enough passphrase"):
        assert await hasher.verify(password, None) == (False, False)


async def test_unknown_address_costs_a_hash_of_the_same_kind(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hash to check, one of the same scheme and cost is checked all the same."""
    checked: list[str] = []
    verify = hasher._verify

    def spy(password: str, password_hash: str) -> tuple[bool, bool]:
        checked.append(password_hash)
        return verify(password, password_hash)

    monkeypatch.setattr(hasher, "_verify", spy)
    await hasher.verify("x", None)
    await hasher.verify("x", await hasher.hash("y"))
    assert [text.rsplit("$", 2)[0] for text in checked] == ["$bcrypt-sha256$v=2,t=2b,r=4"] * 2


@pytest.mark.parametrize("scheme", [bcrypt, bcrypt_sha256])
@pytest.mark.parametrize("old", [4, 5, 7, 8])
def test_every_hash_costs_the_same_to_check(
    scheme: type[bcrypt] | type[bcrypt_sha256], old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of lower cost, or a plain bcrypt one, takes as many rounds to check as one of today; a dearer one more."""
    hasher, rounds = PasswordHasher(7), list[int]()
    password_hash = scheme.using(rounds=old).hash("right")
    hashpw = bcrypt_library.hashpw

    def count(password: bytes, salt: bytes) -> bytes:
        rounds.append(2 ** int(salt.split(b"$")[2]))
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt_library, "hashpw", count)
    for password in ("right", "wrong"):
        rounds.clear()
        right, outdated = hasher._verify(password, password_hash)
        assert sum(rounds) == 2 ** max(7, old)
        assert right == (password == "right")
        assert outdated == (scheme is bcrypt or old != 7)


async def test_hashing_is_off_the_event_loop(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hash is computed in the thread of the event loop."""
    threads: list[str] = []

    def note(_: str) -> str:
        threads.append(threading.current_thread().name)
        return ""

    monkeypatch.setattr(hasher, "_hash", note)
    await hasher.hash("x")
    assert threads[0] != threading.current_thread().name


async def test_the_queue_is_bounded(hasher: PasswordHasher) -> None:
    """When all places are taken the next one is told at once to come back; a place that is given back is free."""
    with ExitStack() as taken:
        for _ in range(1 + QUEUE_PER_THREAD):
            taken.enter_context(hasher.queue.place())
        with pytest.raises(Busy) as error, hasher.queue.place():
            pass
        assert error.value.data["retry_after"]
    with hasher.queue.place():
        assert await hasher.verify("x", await hasher.hash("x")) == (True, False)


async def test_a_place_is_given_back_by_whoever_fails_or_leaves(hasher: PasswordHasher) -> None:
    """Places do not get lost, whatever happens to whoever has one."""

    async def fails() -> None:
        with hasher.queue.place():
            await hasher.verify("x", "no hash")

    async def leaves() -> None:
        with hasher.queue.place():
            await asyncio.sleep(60)

    for _ in range(2 + QUEUE_PER_THREAD):
        with pytest.raises(ValueError, match="identified"):
            await fails()
        leaving = asyncio.create_task(leaves())
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    with hasher.queue.place():
        pass


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


@pytest.fixture
async def crowded(database_url: str, keyring_file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Auth]:
    """The service with room for two waiting hashes for each thread."""
    monkeypatch.setattr("auth_service.passwords.QUEUE_PER_THREAD", 2)
    async with alone(database_url, keyring_file) as auth:
        yield auth


@contextmanager
def held(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No check of a password ends within the block; the passwords of those that began come in the list."""
    gate, began, verify = threading.Event(), list[str](), hasher._verify

    def wait(password: str, password_hash: str) -> tuple[bool, bool]:
        began.append(password)
        gate.wait(60)
        return verify(password, password_hash)

    monkeypatch.setattr(hasher, "_verify", wait)
    try:
        yield began
    finally:
        gate.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes by itself."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_full_queue_turns_away_at_once(crowded: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the queue is full, every place that asks for a password says busy and when to come back; all else works.

    Whoever was turned away has not tried: nothing was counted.
    """
    hasher, member = crowded.app[ACCOUNTS]._hasher, await crowded.join()
    token, network = member.tokens.access, {"X-Forwarded-For": new_address()}
    register = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    with held(hasher, monkeypatch) as began:
        waiting = [asyncio.create_task(crowded.login(new_email())) for _ in range(hasher.queue.capacity)]
        await until(lambda: hasher.queue.taken == hasher.queue.capacity and len(began) == hasher._threads._max_workers)
        refused: list[Coroutine[Any, Any, Any]] = [
            crowded.ask("POST", "/login", {"email": member.email, "password": PASSWORD}, headers=network),
            crowded.ask("POST", "/register", register, headers=network),
            crowded.ask("DELETE", "/me", {"password": PASSWORD}, token, headers=network),
            crowded.ask(
                "POST",
                "/me/password",
                {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"},
                token,
                headers=network,
            ),
        ]
        for asking in refused:
            reply = await asking
            assert says(reply) == (503, "busy")
            assert int(reply.headers["Retry-After"]) > 0
        assert (await crowded.me(token)).status == 200
        assert (await crowded.ask("GET", "/health/ready")).status == 200
        assert not any(task.done() for task in waiting)
        for kind in ("network", "register"):
            key = _key(kind, network["X-Forwarded-For"])
            assert not await crowded.database.fetch("SELECT FROM attempts WHERE key = $1", key)
    assert [reply.status for reply in await asyncio.gather(*waiting)] == [401] * len(waiting)
    assert (await crowded.login(member.email)).status == 200


async def test_a_client_that_left_is_not_hashed_for(own_auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes the connection before its turn gives its place back: no hash is computed, and no failure counted."""
    hasher = own_auth.app[ACCOUNTS]._hasher
    threads = hasher._threads._max_workers
    host, port = own_auth.auth.removeprefix("http://").split(":")
    email, network = new_email(), new_address()

    async def send(password: str) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"email": email, "password": password}).encode()
        writer.write(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"X-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n%s" % (network.encode(), len(body), body)
        )
        return writer

    with held(hasher, monkeypatch) as began:
        first = [asyncio.create_task(own_auth.login(new_email(), f"first {n}")) for n in range(threads)]
        await until(lambda: len(began) == threads)
        leaving = [await send(f"leaves {n}") for n in range(20)]
        await until(lambda: hasher.queue.taken == threads + 20)
        last = asyncio.create_task(own_auth.login(new_email(), "last"))
        await until(lambda: hasher.queue.taken == threads + 21)
        for number, writer in enumerate(leaving):
            if number % 2:
                writer.transport.abort()
            else:
                writer.close()
        await until(lambda: hasher.queue.taken == threads + 1)
    assert [reply.status for reply in await asyncio.gather(*first, last)] == [401] * (threads + 1)
    assert sorted(began) == sorted([*(f"first {n}" for n in range(threads)), "last"])
    # one may have had its turn, and waited for the thread alone
    counted = await own_auth.database.fetchval("SELECT failures FROM attempts WHERE key = $1", _key("network", network))
    assert counted in (None, 1)
