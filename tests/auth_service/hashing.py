"""A password hasher that tests can observe and pause."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from auth_service.passwords import PasswordHasher

COST = 4
"""The lowest cost that bcrypt allows."""


class CountingHasher(PasswordHasher):
    """Computes real hashes, records each one, and can be paused.

    Args:
        cost: log2 of the rounds.
        threads: How many hashes can be computed at the same time.
    """

    def __init__(self, cost: int = COST, threads: int = os.cpu_count() or 1) -> None:
        super().__init__(cost, threads)
        self.threads = threads
        self.passwords: list[str] = []
        """Every password that a thread started to hash or check."""
        self.checked: list[str] = []
        """Every hash that a thread started to check a password against."""
        self._released = threading.Event()
        self._released.set()
        self.prove()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every hash from finishing for the duration of the block."""
        self._released.clear()
        try:
            yield
        finally:
            self._released.set()

    @property
    def places(self) -> int:
        """The number of callers that are hashing or waiting to."""
        return self.queue.taken

    def _hash(self, password: str) -> str:
        self.passwords.append(password)
        self._released.wait(60)
        return super()._hash(password)

    def _verify(self, password: str, password_hash: str) -> tuple[bool, bool]:
        self.passwords.append(password)
        self.checked.append(password_hash)
        self._released.wait(60)
        return super()._verify(password, password_hash)
