"""Password hashing, off the event loop and through a bounded queue."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt as bcrypt_library
import pytest
from passlib.hash import bcrypt, bcrypt_sha256

from auth_service.passwords import QUEUE_PER_THREAD, PasswordHasher
from auth_service.throttle import _key
from shared.errors import Busy, StartupError
from tests.api_client import PASSWORD, new_address, new_email
from tests.auth_service.alone import Auth, alone, says
from tests.auth_service.hashing import COST, CountingHasher


@pytest.fixture
def hasher() -> CountingHasher:
    """A hasher with the lowest cost and one thread."""
    return CountingHasher(threads=1)


async def test_nobody_has_the_dummy_password(hasher: CountingHasher) -> None:
    """Without a hash to check, no password is right."""
    for password in ("", "x", "a long enough passphrase"):
        assert await hasher.verify(password, None) == (False, False)


async def test_unknown_address_costs_a_hash_of_the_same_kind(hasher: CountingHasher) -> None:
    """Without a hash to check, a dummy of the same scheme and cost is checked instead."""
    await hasher.verify("x", None)
    await hasher.verify("x", await hasher.hash("y"))
    assert [text.rsplit("$", 2)[0] for text in hasher.checked] == ["$bcrypt-sha256$v=2,t=2b,r=4"] * 2


@pytest.mark.parametrize("scheme", [bcrypt, bcrypt_sha256])
@pytest.mark.parametrize("old", [4, 5, 7, 8])
async def test_every_hash_costs_the_same_to_check(
    scheme: type[bcrypt] | type[bcrypt_sha256], old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cheaper or plain bcrypt hash takes as many rounds to check as a current one; only a costlier one takes more."""
    hasher, rounds = PasswordHasher(7), list[int]()
    password_hash = scheme.using(rounds=old).hash("right")
    hashpw = bcrypt_library.hashpw

    def count(password: bytes, salt: bytes) -> bytes:
        rounds.append(2 ** int(salt.split(b"$")[2]))
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt_library, "hashpw", count)
    for password in ("right", "wrong"):
        rounds.clear()
        right, outdated = await hasher.verify(password, password_hash)
        assert sum(rounds) == 2 ** max(7, old)
        assert right == (password == "right")
        assert outdated == (scheme is bcrypt or old != 7)


async def test_hashing_is_off_the_event_loop(hasher: CountingHasher) -> None:
    """The event loop keeps running while a hash is computed."""
    with hasher.held():
        hashing = asyncio.create_task(hasher.hash("x"))
        await until(lambda: hasher.passwords == ["x"])
        assert not hashing.done()
    await hashing


async def test_the_queue_is_bounded(hasher: CountingHasher) -> None:
    """When every slot is taken, the next caller is told at once to retry later; a released slot can be taken again."""
    with ExitStack() as taken:
        for number in range(1 + QUEUE_PER_THREAD):
            taken.enter_context(hasher.queue.place(str(number)))
        with pytest.raises(Busy) as error, hasher.queue.place("another"):
            pass
        assert error.value.data["retry_after"]
    with hasher.queue.place("another"):
        assert await hasher.verify("x", await hasher.hash("x")) == (True, False)


async def test_a_slot_is_released_on_failure_and_cancellation(hasher: CountingHasher) -> None:
    """A slot is released when its holder fails or is cancelled."""

    async def fails() -> None:
        with hasher.queue.place("x"):
            await hasher.verify("x", "no hash")

    async def leaves() -> None:
        with hasher.queue.place("x"):
            await asyncio.sleep(60)

    for _ in range(2 + QUEUE_PER_THREAD):
        with pytest.raises(ValueError, match="identified"):
            await fails()
        leaving = asyncio.create_task(leaves())
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    with hasher.queue.place("x"):
        pass


async def test_a_cancelled_hash_is_not_computed(hasher: CountingHasher) -> None:
    """A hash that is cancelled before its turn is never computed."""
    with hasher.held():
        first, second, third = (asyncio.create_task(hasher.hash(name)) for name in ("first", "second", "third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(first, third)
    assert hasher.passwords == ["first", "third"]


def test_start_up_proves_that_hashing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bcrypt version that passlib can't use stops the service at start, with a line that says how to fix it."""

    def raises(*_: bytes) -> bytes:
        raise ValueError("password cannot be longer than 72 bytes")

    monkeypatch.setattr(bcrypt_library, "hashpw", raises)
    with pytest.raises(StartupError, match=r"requirements/auth\.txt"):
        PasswordHasher(COST).prove()


@pytest.fixture
async def crowded(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with one hashing thread, so that its queue is soon full."""
    async with alone(database_url, keyring_file, CountingHasher(threads=1)) as auth:
        yield auth


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_full_queue_turns_away_at_once(crowded: Auth) -> None:
    """While the queue is full, routes that take a password answer `busy` with Retry-After; all others work.

    A refusal does not count as an attempt.
    """
    hasher, member = crowded.hasher, await crowded.join()
    token, network = member.tokens.account, {"X-Forwarded-For": new_address()}
    register = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    capacity = 1 + QUEUE_PER_THREAD
    hasher.passwords.clear()
    with hasher.held():
        waiting = [asyncio.create_task(crowded.login(new_email())) for _ in range(capacity)]
        await until(lambda: hasher.places == capacity and len(hasher.passwords) == hasher.threads)
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


async def test_nothing_is_hashed_for_a_client_that_disconnected(own_auth: Auth) -> None:
    """A client that disconnects before its turn frees its slot: nothing is hashed and no failure is counted."""
    hasher, threads = own_auth.hasher, own_auth.hasher.threads
    host, port = own_auth.auth.removeprefix("http://").split(":")
    network = new_address()

    async def send(password: str) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"email": new_email(), "password": password}).encode()
        writer.write(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"X-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n%s" % (network.encode(), len(body), body)
        )
        return writer

    with hasher.held():
        first = [asyncio.create_task(own_auth.login(new_email(), f"first {n}")) for n in range(threads)]
        await until(lambda: len(hasher.passwords) == threads)
        leaving = [await send(f"leaves {n}") for n in range(10)]
        await until(lambda: hasher.places == threads + 10)
        last = asyncio.create_task(own_auth.login(new_email(), "last"))
        await until(lambda: hasher.places == threads + 11)
        for number, writer in enumerate(leaving):
            if number % 2:
                writer.transport.abort()
            else:
                writer.close()
        await until(lambda: hasher.places == threads + 1)
    assert [reply.status for reply in await asyncio.gather(*first, last)] == [401] * (threads + 1)
    assert sorted(hasher.passwords) == sorted([*(f"first {n}" for n in range(threads)), "last"])
    # one of them may already have had its turn and been waiting for a thread
    counted = await own_auth.database.fetchval("SELECT failures FROM attempts WHERE key = $1", _key("network", network))
    assert counted in (None, 1)
