"""Password hashes, made and checked off the event loop. The only importer of passlib."""

import asyncio
import os
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TypeVar

from passlib.context import CryptContext

from shared.errors import Busy, StartupError

R = TypeVar("R")

QUEUE_PER_THREAD = 32
"""Places in the queue per thread; at cost 12, the last in line waits about 10 s."""


_BCRYPT_BYTES = 72
"""What plain bcrypt reads of a password."""

ACCOUNT_TURNS = 4
"""How many may wait for a turn at one account, or have it: from each network that it knows, and from all others."""


class HashingQueue:
    """A bounded queue for turns at hashing, which networks take in rotation.

    Args:
        threads: How many hashes are computed at a time.
    """

    def __init__(self, threads: int) -> None:
        self.capacity = threads * (1 + QUEUE_PER_THREAD)
        self.taken = 0
        """Places taken now."""
        self._by_network: Counter[str] = Counter()
        self._by_account: Counter[tuple[str, ...]] = Counter()
        # one more than threads: it counts its attempt and loads its user while the others compute
        self._turns = threads + 1
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # in the order in which networks get a turn

    @property
    def waiting(self) -> int:
        """How many are waiting for a turn."""
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def place(self, network: str) -> Iterator[None]:
        """Hold a place in the queue for the duration of the block.

        Take it before doing anything else, so that turning a client away costs nothing. A network gets no more places
        than it leaves free: half of the queue while it is alone, less when others are there too. So a few networks
        can't fill the queue, however many requests they send.

        Raises:
            Busy: the queue is full, or the network has as many places as are left.
        """
        if self._by_network[network] >= self.capacity - self.taken:
            raise Busy("Too many passwords are waiting to be checked", data={"retry_after": 2})
        self.taken += 1
        try:
            with _counted(self._by_network, network):
                yield
        finally:
            self.taken -= 1

    @asynccontextmanager
    async def turn(self, network: str, account: tuple[str, ...] | None = None) -> AsyncIterator[None]:
        """Hold a turn at hashing for the duration of the block; entering it waits.

        Args:
            network: Whose turn it is; networks that wait get one turn each, in rotation.
            account: An account, or a part of those who try it, that may have only a few turns at a time. None: no such
                limit.

        Raises:
            Busy: ACCOUNT_TURNS others are waiting at the account.
        """
        if account is not None and self._by_account[account] >= ACCOUNT_TURNS:
            raise Busy("Too many passwords for this account are waiting to be checked", data={"retry_after": 2})
        with nullcontext() if account is None else _counted(self._by_account, account):
            await self._next_turn(network)
            try:
                yield
            finally:
                self._pass_on()

    async def _next_turn(self, network: str) -> None:
        if self._turns:  # then nobody is waiting
            self._turns -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it got its turn in the moment in which it left
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            network = next(iter(self._waiting))
            turns = self._waiting.pop(network)
            turn = turns.popleft()
            if turns:
                self._waiting[network] = turns  # behind all others
            if not turn.done():  # else it has left
                turn.set_result(None)
                return
        self._turns += 1


@contextmanager
def _counted(counts: Counter[R], key: R) -> Iterator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]  # so that it doesn't grow with every key that was ever there


class PasswordHasher:
    """Hashes passwords in threads; bcrypt releases the interpreter lock while it computes.

    A password goes through HMAC-SHA-256 first, so nothing is cut off at bcrypt's 72 bytes.

    Args:
        cost: log2 of the rounds. Hashes of another cost and plain bcrypt hashes are outdated.
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
        self._dummy_hash = ""
        self.queue = HashingQueue(threads)

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
            raise StartupError(
                f"password hashing fails ({error}); install the exact versions in requirements/auth.txt"
            ) from None
        if not works:
            raise StartupError(
                "password hashing gives wrong results; install the exact versions in requirements/auth.txt"
            )

    async def hash(self, password: str) -> str:
        """Hash a password."""
        return await self._run(self._hash, password)

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, bool]:
        """Check a password. Without a hash, do the same work and return False.

        Returns:
            Whether it is right, and whether the hash is outdated and should be replaced.
        """
        right, outdated = await self._run(self._verify, password, password_hash or self._dummy_hash)
        return (right, outdated) if password_hash is not None else (False, False)

    def close(self) -> None:
        """Let the threads end; hashes that have not begun are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str) -> str:
        return self._context.hash(password)

    def _verify(self, password: str, password_hash: str) -> tuple[bool, bool]:
        secret = password.encode()
        if self._context.identify(password_hash) == "bcrypt":
            secret = secret[:_BCRYPT_BYTES]  # bcrypt 5 refuses what earlier versions ignored
        right = self._context.verify(secret, password_hash)
        # a hash of lower cost is checked faster, which would reveal that the account exists, so the rest of the time is
        # spent anyway: 2^n rounds, and 2^n, 2^(n+1), … up to 2^(cost-1) more, make 2^cost together
        handler = self._context.handler("bcrypt_sha256")
        for cost in range(_cost_of(password_hash), self._cost):
            handler.using(rounds=cost).hash(password)
        return right, self._context.needs_update(password_hash)

    async def _run(self, function: Callable[..., R], *args: str) -> R:
        # if the client leaves before the hash begins, it is never computed
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _cost_of(password_hash: str) -> int:
    """Return log2 of the rounds, from `$2b$12$…`, `$bcrypt-sha256$v=2,t=2b,r=12$…` or `$bcrypt-sha256$2b,12$…`."""
    return int(re.split("[,=]", password_hash.split("$")[2])[-1])
