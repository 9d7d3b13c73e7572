"""Who may try again, and when: guesses are counted in Postgres, before a hash is computed, for all replicas alike."""

import hashlib
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from auth_service.errors import TooManyAttempts
from auth_service.model import Client
from auth_service.store.attempts import AttemptStore, Kind, MustWait


@dataclass(frozen=True, slots=True)
class Try:
    """A try at a password, counted as failed by these keys."""

    counted: Collection[bytes]
    known: bytes


class Throttle:
    """Counts tries.

    By account and network together: after 5 failures in 15 minutes, a wait that doubles from 1 s to 60 s. By account
    over all networks: the same after 20, but a network with an earlier success there does not feel it, so nobody can
    lock another out. By network: 50 in 15 minutes, and as many registrations.
    """

    def __init__(self, store: AttemptStore) -> None:
        self._store = store

    async def may_try(self, email_key: str, client: Client) -> None:
        """Count nothing.

        Raises:
            TooManyAttempts: as `try_password`.
        """
        with _refused():
            await self._store.look(_keys(email_key, client), _known(email_key, client))

    async def try_password(self, email_key: str, client: Client) -> Try:
        """Count a try at a password as failed; `succeeded` takes it back.

        Args:
            email_key: The account, whether or not there is one: waiting tells nothing about that.
            client: Who tries.

        Raises:
            TooManyAttempts: not now. Nothing was counted, and no hash is to be computed.
        """
        known = _known(email_key, client)
        with _refused():
            return Try(await self._store.count(_keys(email_key, client), known), known)

    async def succeeded(self, tried: Try) -> None:
        """Take back what was counted for a right password, and remember the network as known at this account."""
        await self._store.succeeded(tried.counted, tried.known)

    async def may_register(self, client: Client) -> None:
        """Count nothing.

        Raises:
            TooManyAttempts: as `try_registration`.
        """
        with _refused():
            await self._store.look(_registration(client))

    async def try_registration(self, client: Client) -> None:
        """Count a registration.

        Raises:
            TooManyAttempts: there were too many from this network.
        """
        with _refused():
            await self._store.count(_registration(client))


def _keys(email_key: str, client: Client) -> dict[bytes, Kind]:
    return {
        _key("pair", email_key, client.network): "pair",
        _key("account", email_key): "account",
        _key("network", client.network): "network",
    }


def _known(email_key: str, client: Client) -> bytes:
    return _key("known", email_key, client.network)


def _registration(client: Client) -> dict[bytes, Kind]:
    return {_key("register", client.network): "register"}


def _key(*parts: str) -> bytes:
    """What a row is found by; it does not show the address."""
    return hashlib.sha256("\0".join(parts).encode()).digest()


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except MustWait as error:
        seconds = math.ceil(error.seconds)
        raise TooManyAttempts(f"There were too many attempts; try again in {seconds} s", retry_after=seconds) from None
