"""A failed log-in doesn't reveal whether the account exists, neither by its answer nor by its timing."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import combinations
from pathlib import Path
from time import perf_counter
from typing import Literal
from uuid import uuid4

import pytest

from auth_service.handlers import ACCOUNTS
from shared.database.pool import Connection
from tests.api_client import PASSWORD, Reply, new_email
from tests.auth_service.alone import Auth, alone, without_id
from tests.auth_service.hashing import CountingHasher

Kind = Literal["unknown", "wrong", "disabled"]

KINDS: tuple[Kind, ...] = ("unknown", "wrong", "disabled")

COST = 7
"""High enough that hashing is a good part of the response time, low enough that the tests are quick."""

SAMPLES = 200
ALIKE = (0.40, 0.60)


@pytest.fixture
async def auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service, with a hash cost high enough to measure."""
    async with alone(database_url, keyring_file, bcrypt_cost=COST) as auth:
        yield auth


async def accounts(auth: Auth, kind: Kind, count: int) -> list[str]:
    """Insert `count` accounts of one kind and return their addresses; unknown ones are only made up."""
    emails = [new_email() for _ in range(count)]
    if kind != "unknown":
        password_hash = await auth.hasher.hash(PASSWORD)
        await auth.database.executemany(
            "INSERT INTO users (id, email, email_key, name, password_hash, disabled_at)"
            " VALUES ($1, $2, $2, 'Ada', $3, CASE WHEN $4 THEN now() END)",
            [(uuid4(), email, password_hash, kind == "disabled") for email in emails],
        )
    return emails


async def log_in(auth: Auth, kind: Kind, email: str) -> Reply:
    """Fail to log in from a new network; for a disabled account, with the right password."""
    return await auth.login(email, PASSWORD if kind == "disabled" else "a wrong passphrase")


async def sample(auth: Auth, kinds: Sequence[Kind], count: int) -> dict[Kind, list[float]]:
    """Time `count` failed log-ins of each kind, in seconds; in random order, each at a new account."""
    tries = [(kind, email) for kind in kinds for email in await accounts(auth, kind, count)]
    random.shuffle(tries)
    times: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    for kind, email in tries:
        started = perf_counter()
        reply = await log_in(auth, kind, email)
        times[kind].append(perf_counter() - started)
        assert reply.status == 401
    return times


def auc(ones: Sequence[float], others: Sequence[float]) -> float:
    """The probability that one of `ones` exceeds one of `others`; 0.5 if they can't be told apart."""
    ordered = sorted(others)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ones)
    return wins / 2 / len(ones) / len(others)


async def told_apart(auth: Auth) -> dict[tuple[Kind, Kind], float]:
    """The pairs of kinds that timing tells apart, each with its AUC."""
    times = await sample(auth, KINDS, SAMPLES)
    ranks = {(one, other): auc(times[one], times[other]) for one, other in combinations(KINDS, 2)}
    return {pair: rank for pair, rank in ranks.items() if not ALIKE[0] <= rank <= ALIKE[1]}


@pytest.mark.slow
@pytest.mark.direct
async def test_time_does_not_tell_why_a_log_in_failed(auth: Auth) -> None:
    """An unknown address, a wrong password and a disabled account take the same time.

    Chance alone puts a pair outside the bounds about once in two thousand runs, so a difference must show up twice.
    """
    await sample(auth, KINDS, 5)  # warm up: the first log-ins open connections
    if found := await told_apart(auth):
        again = await told_apart(auth)
        assert not found.keys() & again.keys(), (found, again)


class Shortcut(CountingHasher):
    """Behaves like a naive service: without a hash to check, it does nothing."""

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, bool]:
        """Check a password only if there is a hash."""
        return (False, False) if password_hash is None else await super().verify(password, password_hash)


@pytest.mark.slow
@pytest.mark.direct
async def test_the_measurement_detects_a_missing_hash(database_url: str, keyring_file: Path) -> None:
    """If no hash were computed for an unknown address, its timing would give it away."""
    async with alone(database_url, keyring_file, Shortcut(COST)) as auth:
        await sample(auth, KINDS, 5)  # warm up: the first log-ins open connections
        times = await sample(auth, ("unknown", "wrong"), 30)
    assert auc(times["wrong"], times["unknown"]) > 0.9


def test_the_rank_is_right() -> None:
    """All faster gives 0, all slower gives 1, and no difference gives 0.5."""
    assert [auc([1, 2], [3, 4]), auc([3, 4], [1, 2]), auc([1, 2], [1, 2]), auc([1, 1], [1, 1])] == [0, 1, 0.5, 0.5]


async def test_the_work_does_not_tell_why_a_log_in_failed(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three kinds of failure take the same number of database visits and one hash of the same cost."""
    database, visits = auth.app[ACCOUNTS]._store._database, list[None]()
    connection = database.connection

    def visit() -> AbstractAsyncContextManager[Connection]:
        visits.append(None)
        return connection()

    monkeypatch.setattr(database, "connection", visit)
    works = []
    for kind in KINDS:
        [email] = await accounts(auth, kind, 1)
        visits.clear()
        auth.hasher.passwords.clear()
        auth.hasher.checked.clear()
        await log_in(auth, kind, email)
        hashes = [text.rsplit("$", 2)[0] for text in auth.hasher.checked]
        works.append((len(visits), len(auth.hasher.passwords), hashes))
    assert works[0][1:] == (1, [f"$bcrypt-sha256$v=2,t=2b,r={COST}"])
    assert works[0] == works[1] == works[2]


async def test_the_answer_does_not_tell_why_a_log_in_failed(auth: Auth) -> None:
    """Status, body and headers are the same, except for the request id and the date."""
    answers = []
    for kind in KINDS:
        [email] = await accounts(auth, kind, 1)
        # the same address twice, then in upper case
        for spelling in (email, email, email.upper()):
            reply = await log_in(auth, kind, spelling)
            assert reply.status == 401
            headers = {**reply.headers, "X-Request-ID": len(reply.headers["X-Request-ID"]), "Date": None}
            answers.append((headers, {**reply.body, "request_id": len(reply.body["request_id"])}))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][1]["code"] == "credentials_invalid"


ODD = [
    "no-address",
    "a@localhost",
    "@",
    "a@",
    "@example.com",
    "a@b@example.com",
    "a@example..com",
    "a@-example.com",
    "a@xn--.com",
    "a@xn--a.com",
    "a@xn--ls8h.la",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    '"a b"@example.com',
    "Ada <ada@example.com>",
    "ada@example.com.",
    "a@\uff45xample\u3002com",
    "\u00df@stra\u00dfe.example.com",
    "\u0130\u0131\u017f@example.com",
    "\u0644\u200d@\u0645\u062b\u0627\u0644.example.com",
    "\u0301" * 200 + "@example.com",
    "a@" + "\ufdfa" * 200 + ".com",
    "a@" + "1." * 120 + "com",
    "x" * 254,
    "a@" + "x" * 252,
    "\U0001f989@\U0001f989.example.com",
    "\u202ea@example.com",
    "a%40example.com",
    "../../etc/passwd@example.com",
    "' OR 1=1 --@example.com",
]


async def test_an_odd_address_is_answered_like_any_other(own_auth: Auth) -> None:
    """An address that can't be registered gets the same answer as an unknown one, after the same work."""
    checked = own_auth.hasher.checked
    usual = without_id(await own_auth.login(new_email()))
    for count, email in enumerate(ODD, 2):
        assert without_id(await own_auth.login(email)) == usual, email
        assert checked == checked[:1] * count, email
