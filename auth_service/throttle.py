"""Slows down guessing. Attempts are counted in Postgres before a hash is computed, so all replicas share the counts."""

import hashlib
import math
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from auth_service.errors import TooManyAttempts
from auth_service.model import Client, Limit
from auth_service.passwords import HashingQueue
from auth_service.store.attempts import AttemptStore

WINDOW_SECONDS = 15 * 60.0
"""Failures are counted in windows of this length, starting with the first failure."""

ACCOUNT_FROM_NETWORK = Limit("pair", failures=5, first_wait=1, longest_wait=60)
"""For one account from one network. A correct password clears it."""

ACCOUNT = Limit("account", failures=20, first_wait=1, longest_wait=60)
"""For one account from all networks. Networks where the account has signed in before are exempt."""

NETWORK = Limit("network", failures=50)
"""For one network on all accounts; then it waits for the rest of the window."""

REGISTRATIONS = Limit("register", failures=50)
"""For registrations from one network; then it waits for the rest of the window."""

KNOWN_SECONDS = 90 * 86_400.0
"""How long a network stays exempt without another log-in."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has been counted as failed."""

    counted: Collection[bytes]
    known: bytes


class Throttle:
    """Decides who may try a password or register now.

    Args:
        store: The counts.
        queue: The queue for hashing that every attempt must go through.
    """

    def __init__(self, store: AttemptStore, queue: HashingQueue) -> None:
        self._store = store
        self._queue = queue

    def password(self, email_key: str, client: Client) -> AbstractAsyncContextManager[Attempt]:
        """Hold a turn at hashing, for one attempt at an account's password.

        The attempt counts as failed from the start of the block; call `succeeded` if it wasn't.

        Args:
            email_key: The account. It need not exist, so that waiting reveals nothing.
            client: Who tries.

        Raises:
            TooManyAttempts: not now. Nothing was counted.
            Busy: too many passwords are waiting to be checked. Nothing was counted.
        """
        keys = {
            _key("pair", email_key, client.network): ACCOUNT_FROM_NETWORK,
            _key("account", email_key): ACCOUNT,
            _key("network", client.network): NETWORK,
        }
        return self._attempt(keys, _key("known", email_key, client.network))

    def registration(self, client: Client) -> AbstractAsyncContextManager[Attempt]:
        """Hold a turn at hashing, for one registration.

        Raises:
            TooManyAttempts, Busy: as for `password`.
        """
        return self._attempt({_key("register", client.network): REGISTRATIONS}, b"")

    async def succeeded(self, attempt: Attempt) -> None:
        """Undo the count of an attempt whose password was right, and remember its network as known to the account."""
        await self._store.succeeded(attempt.counted, attempt.known)

    @asynccontextmanager
    async def _attempt(self, keys: Mapping[bytes, Limit], known: bytes) -> AsyncIterator[Attempt]:
        with self._queue.place():
            await self._limits_in_force(keys, known)  # refused before waiting in the queue
            async with self._queue.turn():
                # not counted earlier: a client that gives up in the queue hasn't failed, and a burst of correct
                # passwords from one network doesn't look like guessing
                yield Attempt(await self._count(keys, known), known)

    async def _count(self, keys: Mapping[bytes, Limit], known: bytes) -> Collection[bytes]:
        while True:
            limits = await self._limits_in_force(keys, known)
            if await self._store.count(limits, WINDOW_SECONDS):
                return list(limits)
            # another attempt was counted in between, and it may have started a wait

    async def _limits_in_force(self, keys: Mapping[bytes, Limit], known: bytes) -> Mapping[bytes, Limit]:
        """Return the limits that apply to this attempt.

        Raises:
            TooManyAttempts: one of them says to wait.
        """
        standing = await self._store.standing(list(keys), known, KNOWN_SECONDS)
        limits = {key: limit for key, limit in keys.items() if not (standing.is_known and limit is ACCOUNT)}
        kinds = {limit.kind for limit in limits.values()}
        waits = [seconds for kind, seconds in standing.waits.items() if kind in kinds]
        if waits:
            seconds = math.ceil(max(waits))
            raise TooManyAttempts(
                f"There were too many attempts; try again in {seconds} s", data={"retry_after": seconds}
            )
        return limits


def _key(*parts: str) -> bytes:
    """Return what a row is found by; it doesn't reveal the address."""
    return hashlib.sha256("\0".join(parts).encode()).digest()
