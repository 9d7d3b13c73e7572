"""Nothing tells who has an account: not the answer of a failed log-in, and not the time it takes."""

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

pytestmark = pytest.mark.slow

Kind = Literal["unknown", "wrong", "disabled"]

KINDS: tuple[Kind, ...] = ("unknown", "wrong", "disabled")

COST = 7
"""High enough for the hash to be a good part of the time, low enough to be quick."""

SAMPLES = 200
ALIKE = (0.40, 0.60)


@pytest.fixture
async def auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service, with hashes that take some time."""
    async with alone(database_url, keyring_file, bcrypt_cost=COST) as auth:
        yield auth


async def accounts(auth: Auth, kind: Kind, count: int) -> list[str]:
    """Addresses of as many accounts of a kind, written into the table."""
    emails = [new_email() for _ in range(count)]
    if kind != "unknown":
        password_hash = auth.app[ACCOUNTS]._hasher._hash(PASSWORD)
        await auth.database.executemany(
            "INSERT INTO users (id, email, email_key, name, password_hash, disabled_at)"
            " VALUES ($1, $2, $2, 'Ada', $3, CASE WHEN $4 THEN now() END)",
            [(uuid4(), email, password_hash, kind == "disabled") for email in emails],
        )
    return emails


async def log_in(auth: Auth, kind: Kind, email: str) -> Reply:
    """Fail to sign in, from a network of one's own; at a disabled account with the right password."""
    return await auth.login(email, PASSWORD if kind == "disabled" else "a wrong passphrase")


async def sample(auth: Auth, kinds: Sequence[Kind], count: int) -> dict[Kind, list[float]]:
    """Seconds of that many failed log-ins of each kind, in random order, each at an account of its own."""
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
    """How often one of the first takes longer than one of the second: 0.5 if they can't be told apart."""
    ordered = sorted(others)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ones)
    return wins / 2 / len(ones) / len(others)


async def told_apart(auth: Auth) -> dict[tuple[Kind, Kind], float]:
    """The pairs of kinds that time tells apart, and how well."""
    times = await sample(auth, KINDS, SAMPLES)
    ranks = {(one, other): auc(times[one], times[other]) for one, other in combinations(KINDS, 2)}
    return {pair: rank for pair, rank in ranks.items() if not ALIKE[0] <= rank <= ALIKE[1]}


async def test_time_does_not_tell_why_a_log_in_failed(auth: Auth) -> None:
    """An unknown address, a wrong password and a disabled account take the same time.

    Chance alone puts a pair of equals outside the bounds once in some two thousand times; a difference that is there is
    there the second time too.
    """
    await sample(auth, KINDS, 5)  # the first ones open connections
    if found := await told_apart(auth):
        again = await told_apart(auth)
        assert not found.keys() & again.keys(), (found, again)


async def test_the_measure_bites(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were no hash computed for an unknown address, time would tell."""
    hasher = auth.app[ACCOUNTS]._hasher
    verify = hasher.verify

    async def undummied(password: str, password_hash: str | None) -> tuple[bool, bool]:
        return (False, False) if password_hash is None else await verify(password, password_hash)

    monkeypatch.setattr(hasher, "verify", undummied)
    times = await sample(auth, ("unknown", "wrong"), 30)
    assert auc(times["wrong"], times["unknown"]) > 0.9


def test_the_rank_is_right() -> None:
    """All sooner is 0, all later is 1, and the same is a half."""
    assert [auc([1, 2], [3, 4]), auc([3, 4], [1, 2]), auc([1, 2], [1, 2]), auc([1, 1], [1, 1])] == [0, 1, 0.5, 0.5]


async def test_the_work_does_not_tell_why_a_log_in_failed(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three takes as many visits to the database, and one hash of the same cost."""
    accounts_, done = auth.app[ACCOUNTS], list[str]()
    database, hasher = accounts_._store._database, accounts_._hasher
    connection, verify = database.connection, hasher._verify

    def visit() -> AbstractAsyncContextManager[Connection]:
        done.append("visit")
        return connection()

    def check(password: str, password_hash: str) -> tuple[bool, bool]:
        done.append(password_hash.rsplit("$", 2)[0])
        return verify(password, password_hash)

    monkeypatch.setattr(database, "connection", visit)
    monkeypatch.setattr(hasher, "_verify", check)
    works = []
    for kind in KINDS:
        [email] = await accounts(auth, kind, 1)
        await log_in(auth, kind, email)
        works.append(tuple(done))
        done.clear()
    assert f"$bcrypt-sha256$v=2,t=2b,r={COST}" in works[0]
    assert works[0] == works[1] == works[2]


async def test_the_answer_does_not_tell_why_a_log_in_failed(auth: Auth) -> None:
    """Status, body and headers are the same, but for the request id and the date."""
    answers = []
    for kind in KINDS:
        [email] = await accounts(auth, kind, 1)
        # the same request three times over, and the same for an address in another case
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


async def test_an_odd_address_is_answered_like_any_other(own_auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that nobody could register is an unknown one and no more: as much is computed, the same answered."""
    hasher, hashed = own_auth.app[ACCOUNTS]._hasher, list[str]()
    verify = hasher._verify

    def note(password: str, password_hash: str) -> tuple[bool, bool]:
        hashed.append(password_hash)
        return verify(password, password_hash)

    monkeypatch.setattr(hasher, "_verify", note)
    usual = without_id(await own_auth.login(new_email()))
    for count, email in enumerate(ODD, 2):
        assert without_id(await own_auth.login(email)) == usual, email
        assert hashed == [hasher._dummy_hash] * count, email
