"""Password hashes: made and checked off the event loop. The only importer of passlib."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from passlib.context import CryptContext

from shared.errors import Busy, StartupError

R = TypeVar("R")

QUEUE_PER_THREAD = 32
"""Places in the queue for each thread; at cost 12 whoever comes last waits some 10 s."""


class PasswordHasher:
    """Hashes passwords in a bounded pool of threads; bcrypt lets go of the interpreter lock while it computes.

    A password goes through HMAC-SHA-256 first, so nothing is cut off at bcrypt's 72 bytes.

    Args:
        cost: log2 of the rounds. A hash of another cost, or a plain bcrypt one, is outdated.
        threads: How many hashes are computed at a time.
    """

    def __init__(self, cost: int, threads: int = os.cpu_count() or 1) -> None:
        self._cost = cost
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__rounds=cost,
            bcrypt__rounds=cost,
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._capacity = threads * (1 + QUEUE_PER_THREAD)
        self._taken = 0
        # one more than threads: it has its row counted, and its user found, while the others compute
        self._turns = asyncio.Semaphore(threads + 1)
        self._dummy_hash = ""

    def prove(self) -> None:
        """Hash and check once, and make the dummy hash that unknown addresses are checked against.

        Raises:
            StartupError: passlib and the installed bcrypt do not work together.
        """
        secret = os.urandom(16).hex()
        try:
            self._dummy_hash = self._context.hash(secret)
            works = self._context.verify(secret, self._dummy_hash) and not self._context.verify("", self._dummy_hash)
        except Exception as error:  # noqa: BLE001  whatever it raises, no password could be checked
            raise StartupError(f"password hashing fails ({error}); install requirements/auth.txt as it is") from None
        if not works:
            raise StartupError("password hashing gives wrong results; install requirements/auth.txt as it is")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place among those who hash, or wait for it, for as long as the block lasts.

        To be taken before anything else is done, so that it costs nothing to turn somebody away.

        Raises:
            Busy: there is none.
        """
        if self._taken >= self._capacity:
            raise Busy("Too many passwords are waiting to be checked", retry_after=2)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def turn(self) -> asyncio.Semaphore:
        """Wait, by entering it, until a thread is as good as free; in the order in which they came."""
        return self._turns

    async def hash(self, password: str) -> str:
        """Hash a password."""
        return await self._run(self._hash, password)

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, bool]:
        """Check a password; without a hash, do the same work for nothing and say no.

        Returns:
            Whether it is right, and whether the hash is outdated and should be replaced.
        """
        right, outdated = await self._run(self._verify, password, password_hash or self._dummy_hash)
        return (right, outdated) if password_hash is not None else (False, False)

    def close(self) -> None:
        """Let the threads end; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str) -> str:
        return self._context.hash(password)

    def _verify(self, password: str, password_hash: str) -> tuple[bool, bool]:
        right = self._context.verify(password, password_hash)
        # a hash of a lower cost is checked sooner, which would tell that there is such an account: the rest of the
        # time is spent for nothing. 2^n and 2^n, 2^(n+1), … up to one below make 2^cost together
        handler = self._context.handler("bcrypt_sha256")
        for cost in range(_cost_of(password_hash), self._cost):
            handler.using(rounds=cost).hash(password)
        return right, self._context.needs_update(password_hash)

    async def _run(self, function: Callable[..., R], *args: str) -> R:
        # cancelled before its turn, because the client left, it is never computed
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _cost_of(password_hash: str) -> int:
    """log2 of the rounds, of `$2b$12$…` or `$bcrypt-sha256$v=2,t=2b,r=12$…`."""
    return int(password_hash.split("$")[2].rpartition("=")[2])
