"""Password hashes: made and checked off the event loop. The only importer of passlib."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passlib.context import CryptContext

from shared.errors import Busy, StartupError

R = TypeVar("R")

QUEUE_PER_THREAD = 16
"""Hashes that may wait for each thread; at cost 12 the last of them waits some seconds."""


class PasswordHasher:
    """Hashes passwords in a bounded pool of threads; bcrypt lets go of the interpreter lock while it computes.

    A password goes through HMAC-SHA-256 first, so nothing is cut off at bcrypt's 72 bytes.

    Args:
        cost: log2 of the rounds. A hash of another cost, or a plain bcrypt one, is replaced at the next login.
        threads: How many hashes are computed at a time.
    """

    def __init__(self, cost: int, threads: int = os.cpu_count() or 1) -> None:
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__rounds=cost,
            bcrypt__rounds=cost,
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._capacity = threads * (1 + QUEUE_PER_THREAD)
        self._under_way = 0
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

    async def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            Busy: too many are waiting.
        """
        return await self._run(self._hash, password)

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        """Check a password; without a hash, do the same work for nothing and say no.

        Returns:
            Whether it is right, and, if it is and the hash is of an old kind, a new hash to store.

        Raises:
            Busy: too many are waiting.
        """
        right, new_hash = await self._run(self._verify, password, password_hash or self._dummy_hash)
        return (right, new_hash) if password_hash is not None else (False, None)

    def close(self) -> None:
        """Let the threads end; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str) -> str:
        return self._context.hash(password)

    def _verify(self, password: str, password_hash: str) -> tuple[bool, str | None]:
        return self._context.verify_and_update(password, password_hash)

    async def _run(self, function: Callable[..., R], *args: str) -> R:
        if self._under_way >= self._capacity:
            raise Busy("Too many passwords are waiting to be checked", retry_after=2)
        self._under_way += 1
        try:
            # cancelled before its turn, because the client left, it is never computed
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._under_way -= 1
