"""Slows down guessing. Attempts are counted in Postgres before a hash is computed, so all replicas share the counts."""

import hashlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from auth_service.errors import TooManyAttempts
from auth_service.model import Client, Limit
from auth_service.passwords import HashingQueue
from auth_service.store.attempts import AttemptStore

WINDOW_SECONDS = 15 * 60.0
"""Failures are counted in windows of this length, starting with the first failure."""

ACCOUNT_FROM_NETWORK = Limit("pair", 5, WINDOW_SECONDS, first_wait=1, longest_wait=60, after_success="cleared")
"""For one account from one network. A correct password clears it."""

ACCOUNT = Limit("account", 20, WINDOW_SECONDS, first_wait=1, longest_wait=60)
"""For one account from all networks. Networks where the account has signed in before are exempt."""

NETWORKS = [Limit("network", failures, WINDOW_SECONDS) for failures in (50, 100, 200)]
"""For one network on all accounts, the narrowest network first; then it waits for the rest of the window."""

REGISTRATIONS = [Limit("register", failures, WINDOW_SECONDS) for failures in (50, 100, 200)]
"""For registrations from one network, likewise."""

CEILING_FAILURES = 100
"""Failures in a row on one account (NIST SP 800-63B-4 section 3.2.2 allows no more)."""

CEILING_SECONDS = 365 * 86_400.0
"""How long after the last of them failures in a row are forgotten, if they haven't reached the ceiling."""

CEILING = Limit(
    "ceiling",
    CEILING_FAILURES,
    CEILING_SECONDS,
    in_a_row=True,
    after_success="cleared",
    event="closed_by_guessing",
)
"""For one account from all networks that it doesn't know. Then only known networks may try."""

KNOWN_CEILING = replace(CEILING, event="known_network_forgotten")
"""For one account from one network that it knows. Then it doesn't know the network anymore."""

RATE_SECONDS = 60.0
"""Attempts, whether they succeed or not, are counted in windows of this length."""

RATE = Limit("rate", 30, RATE_SECONDS, after_success="kept")
"""For attempts at one account from one network, so that correct passwords don't cost the service any more than that."""

NETWORK_RATE = Limit("rate", 120, RATE_SECONDS, after_success="kept")
"""For attempts from one network, the widest, on all accounts."""

KNOWN_SECONDS = 90 * 86_400.0
"""How long a network stays exempt without another log-in."""

CLOSED_RETRY_SECONDS = 3600
"""When to ask again whether an account that guessing has closed is open."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has been counted as failed.

    Args:
        undone: What a success undoes.
        known: The key of the account's knowledge of the network.
    """

    undone: Mapping[bytes, Limit]
    known: bytes


@dataclass(frozen=True, slots=True)
class _Account:
    """What an attempt at a password depends on, apart from the limits that apply everywhere.

    Args:
        email_key: The account.
        network: Where the attempt comes from.
        known: The key of the account's knowledge of the network.
        from_known: The limits if the account knows the network.
        from_others: The limits if it doesn't.
    """

    email_key: str
    network: str
    known: bytes
    from_known: dict[bytes, Limit]
    from_others: dict[bytes, Limit]

    @classmethod
    def of(cls, email_key: str, network: str) -> Self:
        """Return the account, which need not exist, as it is seen from a network."""
        return cls(
            email_key,
            network,
            _key("known", email_key, network),
            {_key("ceiling", email_key, network): KNOWN_CEILING},
            {_key("account", email_key): ACCOUNT, _key("ceiling", email_key): CEILING},
        )

    def crowd(self, *, is_known: bool) -> tuple[str, ...]:
        """Return with whom the attempt shares the few turns at the account.

        A network that the account knows has turns of its own, so that it doesn't wait behind those who guess elsewhere.
        It has as many as the others, so that a crowd doesn't find out whether the account knows its network.
        """
        return (self.email_key, self.network) if is_known else (self.email_key,)

    def attempt(self, counted: Mapping[bytes, Limit]) -> Attempt:
        """Return an attempt; if it succeeds, it ends failures in a row from wherever they came."""
        ceilings = {key: limit for key, limit in (self.from_known | self.from_others).items() if limit.in_a_row}
        return Attempt({**counted, **ceilings}, self.known)


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
            _key("rate", email_key, client.network): RATE,
            _key("rate", client.widest_network): NETWORK_RATE,
            **_rising("network", client, NETWORKS),
        }
        return self._attempt(keys, client, _Account.of(email_key, client.network))

    def registration(self, client: Client) -> AbstractAsyncContextManager[Attempt]:
        """Hold a turn at hashing, for one registration.

        Raises:
            TooManyAttempts, Busy: as for `password`.
        """
        return self._attempt(_rising("register", client, REGISTRATIONS), client, None)

    async def succeeded(self, attempt: Attempt, user_id: UUID) -> None:
        """Undo the count of an attempt whose password was right, and remember its network as known to the account.

        It also ends the failures in a row, so an account that was closed is open again.
        """
        await self._store.succeeded(attempt.undone, attempt.known, user_id)

    async def reopen(self, email_key: str) -> None:
        """Forget the failures on an account; call this when it gets a password that nobody can have guessed at."""
        await self._store.forget([_key("ceiling", email_key), _key("account", email_key)])

    @asynccontextmanager
    async def _attempt(
        self, keys: Mapping[bytes, Limit], client: Client, account: _Account | None
    ) -> AsyncIterator[Attempt]:
        with self._queue.place(client.widest_network):
            _, is_known = await self._limits_in_force(keys, account)  # refused before waiting in the queue
            crowd = None if account is None else account.crowd(is_known=is_known)
            async with self._queue.turn(client.widest_network, crowd):
                # not counted earlier: a client that gives up in the queue hasn't failed, and a burst of correct
                # passwords from one network doesn't look like guessing
                counted = await self._count(keys, client, account)
                yield Attempt(counted, b"") if account is None else account.attempt(counted)

    async def _count(
        self, keys: Mapping[bytes, Limit], client: Client, account: _Account | None
    ) -> Mapping[bytes, Limit]:
        while True:
            limits, _ = await self._limits_in_force(keys, account)
            if await self._store.count(limits, None if account is None else account.email_key, client.address):
                return limits
            # another attempt was counted in between, and it may have started a wait

    async def _limits_in_force(
        self, keys: Mapping[bytes, Limit], account: _Account | None
    ) -> tuple[Mapping[bytes, Limit], bool]:
        """Return the limits that apply to this attempt, and whether the account knows the network.

        Raises:
            TooManyAttempts: one of them says to wait.
        """
        if account is None:
            limits, is_known = keys, False
            standing = await self._store.standing(list(keys), b"", None, KNOWN_SECONDS)
        else:
            asked = [*keys, *account.from_known, *account.from_others]
            standing = await self._store.standing(asked, account.known, account.email_key, KNOWN_SECONDS)
            is_known = standing.is_known and not standing.waits.keys() & account.from_known.keys()
            limits = {**keys, **(account.from_known if is_known else account.from_others)}
        waits = [seconds for key, seconds in standing.waits.items() if key in limits]
        if math.inf in waits:
            raise TooManyAttempts(
                f"There were {CEILING_FAILURES} failed attempts in a row on this account, so it is closed to networks"
                f" from which nobody has signed in to it within the last {KNOWN_SECONDS / 86_400:.0f} days",
                hint="Sign in from a network where you have signed in before, or ask the operator for a new password.",
                data={"retry_after": CLOSED_RETRY_SECONDS},
            )
        if waits:
            seconds = math.ceil(max(waits))
            raise TooManyAttempts(
                f"There were too many attempts; try again in {seconds} s", data={"retry_after": seconds}
            )
        return limits, is_known


def _rising(kind: str, client: Client, limits: Sequence[Limit]) -> Mapping[bytes, Limit]:
    """Return a limit for each network of a client."""
    return {_key(kind, network): limit for network, limit in zip(client.networks, limits, strict=False)}


def _key(*parts: str) -> bytes:
    """Return what a row is found by; it doesn't reveal the address."""
    return hashlib.sha256("\0".join(parts).encode()).digest()
