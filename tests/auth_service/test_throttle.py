"""Throttling of password guesses: who may try again, and when.

Tests let time pass by updating rows in the database, so nothing depends on how fast the machine is.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from aiohttp import ClientSession, TCPConnector

from auth_service.model import SessionPolicy
from auth_service.store.sweep import BATCH, SweepStore
from auth_service.throttle import KNOWN_SECONDS, _key
from tests.api_client import PASSWORD, Pair, Reply, new_address, new_email
from tests.auth_service.alone import Auth, alone, says
from tests.auth_service.hashing import CountingHasher
from tests.postgres import opened

T = TypeVar("T")

WRONG = "a wrong passphrase"
WINDOW = 15 * 60
WAITS = (1, 2, 4, 8, 16, 32, 60, 60)
"""Seconds to wait after the fifth failure, the sixth, …"""

# for `overrule`: waits so long that a slow machine can't outlast them, or no waits at all
LONG_WAITS = "NEW.allowed_at > now() THEN NEW.allowed_at := NEW.allowed_at + interval '1 hour'"
NO_WAITS = "true THEN NEW.allowed_at := '-infinity'"

POLICY = SessionPolicy(idle_seconds=14 * 86_400, absolute_seconds=90 * 86_400, grace_seconds=60)


async def guess(auth: Pair, email: str, network: str, password: str = WRONG) -> Reply:
    """POST /login from a network."""
    body = {"email": email, "password": password}
    return await auth.call("POST", f"{auth.auth}/login", body, headers={"X-Forwarded-For": network})


async def fail(auth: Pair, email: str, network: str, times: int = 1) -> None:
    """Guess wrong this many times, without having to wait."""
    for _ in range(times):
        assert says(await guess(auth, email, network)) == (401, "credentials_invalid")


def wait_of(reply: Reply) -> int:
    """The seconds that a 429 says to wait."""
    assert says(reply) == (429, "too_many_attempts")
    return int(reply.headers["Retry-After"])


async def elapse(auth: Auth, seconds: float) -> None:
    """Move all counters back, as if this much time had passed."""
    await auth.database.execute(
        "UPDATE attempts SET allowed_at = allowed_at - $1 * interval '1 s',"
        " window_ends = window_ends - $1 * interval '1 s'",
        float(seconds),
    )


async def clock(auth: Auth) -> datetime:
    """The database's current time."""
    time: datetime = await auth.database.fetchval("SELECT clock_timestamp()")
    return time


async def row_of(auth: Auth, *parts: str) -> Any:
    """The counter with this key."""
    return await auth.database.fetchrow("SELECT * FROM attempts WHERE key = $1", _key(*parts))


async def rows(auth: Auth) -> list[asyncpg.Record]:
    """All counters."""
    found: list[asyncpg.Record] = await auth.database.fetch("SELECT * FROM attempts ORDER BY key")
    return found


async def assert_wait(auth: Auth, seconds: int, failing: Awaitable[None], *parts: str) -> None:
    """Check that this failure starts a wait of exactly this many seconds."""
    before = await clock(auth)
    await failing
    allowed = (await row_of(auth, *parts))["allowed_at"]
    assert before <= allowed - timedelta(seconds=seconds) <= await clock(auth)


async def overrule(auth: Auth, waits: str) -> None:
    """Replace every wait that the service writes, by a trigger."""
    await auth.database.execute(
        "CREATE FUNCTION overrule() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF {waits}; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER overrule BEFORE INSERT OR UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION overrule()"
    )


async def side_by_side(count: int, tasks: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all tasks, at most `count` at a time."""
    turns = asyncio.Semaphore(count)

    async def in_turn(task: Callable[[], Awaitable[T]]) -> T:
        async with turns:
            return await task()

    return await asyncio.gather(*(in_turn(task) for task in tasks))


@pytest.fixture
async def auth(auth: Auth) -> AsyncIterator[Auth]:
    """The shared service, without any counters or known networks."""
    forget = "DROP FUNCTION IF EXISTS overrule() CASCADE; TRUNCATE attempts, known_networks"
    await auth.database.execute(forget)
    yield auth
    await auth.database.execute(forget)


@pytest.fixture
def hashed(auth: Auth) -> list[str]:
    """Every password that was hashed or checked."""
    return auth.hasher.passwords


async def test_five_failures_then_a_wait_that_doubles(auth: Auth) -> None:
    """From one network at one account, four failures are free; the fifth costs 1 s, the next 2 s, up to 60 s."""
    email, network = new_email(), new_address()
    await fail(auth, email, network, 4)
    for seconds in WAITS:
        await assert_wait(auth, seconds, fail(auth, email, network), "pair", email, network)
        await elapse(auth, seconds)


async def test_retry_after_is_true(auth: Auth) -> None:
    """The next attempt is allowed once the seconds in Retry-After have passed, and not a second earlier."""
    email, network = new_email(), new_address()
    await fail(auth, email, network, 5)
    for _ in range(10):
        await auth.database.execute(
            "UPDATE attempts SET allowed_at = clock_timestamp() + interval '30.9 s' WHERE kind = 'pair'"
        )
        seconds = wait_of(await guess(auth, email, network))
        await elapse(auth, seconds - 1)
        allowed_at = (await row_of(auth, "pair", email, network))["allowed_at"]
        early = await guess(auth, email, network)
        if await clock(auth) < allowed_at:  # otherwise the machine was too slow and the wait had ended
            break
    assert wait_of(early) == 1
    await elapse(auth, 1)
    await fail(auth, email, network)


async def test_retry_after_counts_what_is_left(auth: Auth) -> None:
    """Retry-After is what is left of the longest wait, rounded up to whole seconds."""
    email, network = new_email(), new_address()
    await fail(auth, email, network, 5)
    for kind, seconds in (("pair", 20.5), ("account", 40.0), ("network", 600.0)):
        await auth.database.execute(
            "UPDATE attempts SET allowed_at = clock_timestamp() + $2 * interval '1 s' WHERE kind = $1", kind, seconds
        )
        until = await auth.database.fetchval("SELECT allowed_at FROM attempts WHERE kind = $1", kind)
        before = await clock(auth)
        told = wait_of(await guess(auth, email, network))
        after = await clock(auth)
        assert ceil((until - after).total_seconds()) <= told <= ceil((until - before).total_seconds())


async def test_an_attempt_during_a_wait_costs_no_hash_and_changes_nothing(auth: Auth, hashed: list[str]) -> None:
    """During a wait nothing is hashed, not even the right password, and nothing is counted."""
    email, network = new_email(), new_address()
    await auth.register(email)
    await overrule(auth, LONG_WAITS)
    await fail(auth, email, network, 5)
    before = await rows(auth)
    hashed.clear()
    for password in (WRONG, PASSWORD) * 5:
        assert wait_of(await guess(auth, email, network, password))
    assert hashed == []
    assert await rows(auth) == before


async def test_a_right_password_clears_the_failures(auth: Auth) -> None:
    """A log-in clears the failures of its network at its account, and is not itself counted anywhere."""
    email, network = new_email(), new_address()
    await auth.register(email)
    await auth.database.execute("DELETE FROM attempts")

    async def failures() -> dict[str, int]:
        return {row["kind"]: row["failures"] for row in await rows(auth) if row["failures"] and row["kind"] != "rate"}

    assert (await guess(auth, email, network, PASSWORD)).status == 200
    assert await failures() == {}
    for _ in range(3):
        await fail(auth, email, network, 4)
        assert (await guess(auth, email, network, PASSWORD)).status == 200
    assert await failures() == {"network": 12}


async def test_the_window_ends(auth: Auth) -> None:
    """Failures are forgotten 15 minutes after the first of them, and not before."""
    email, network = new_email(), new_address()
    await overrule(auth, NO_WAITS)
    await fail(auth, email, network, 30)
    await auth.database.execute("DROP TRIGGER overrule ON attempts")
    await elapse(auth, WINDOW)
    await fail(auth, email, network, 4)
    await elapse(auth, WINDOW - 60)
    await assert_wait(auth, 1, fail(auth, email, network), "pair", email, network)


async def test_after_a_log_in_a_new_window_begins(auth: Auth) -> None:
    """Failures after a log-in are forgotten 15 minutes after the first of them, not after an earlier one."""
    email, network = new_email(), new_address()
    await auth.register(email)
    await fail(auth, email, network)
    await elapse(auth, WINDOW - 60)
    assert (await guess(auth, email, network, PASSWORD)).status == 200
    await fail(auth, email, network, 4)
    await elapse(auth, 120)
    await assert_wait(auth, 1, fail(auth, email, network), "pair", email, network)


async def test_a_wait_outlives_its_window(auth: Auth) -> None:
    """A wait that began before the window ended is not cut short by its end."""
    email, network = new_email(), new_address()
    await fail(auth, email, network, 5)
    await auth.database.execute("UPDATE attempts SET window_ends = now(), allowed_at = now() + interval '1 minute'")
    assert 1 <= wait_of(await guess(auth, email, network)) <= 60
    await elapse(auth, 60)
    await fail(auth, email, network, 4)


async def test_a_wait_is_for_one_network_at_one_account(auth: Auth) -> None:
    """A network that has to wait at one account can try another, and that account can be tried from another network."""
    email, network = new_email(), new_address()
    await overrule(auth, LONG_WAITS)
    await fail(auth, email, network, 5)
    assert wait_of(await guess(auth, email, network))
    await fail(auth, email, new_address())
    await fail(auth, new_email(), network)


async def test_an_account_has_a_slower_cap_over_all_networks(auth: Auth) -> None:
    """After 20 failures at one account from anywhere, every network without a log-in there has to wait."""
    email = new_email()
    for _ in range(19):
        await fail(auth, email, new_address())
    for seconds in WAITS:
        await assert_wait(auth, seconds, fail(auth, email, new_address()), "account", email)
        await elapse(auth, seconds)
    await overrule(auth, LONG_WAITS)
    await fail(auth, email, new_address())
    assert wait_of(await guess(auth, email, new_address()))


@pytest.mark.slow
async def test_nobody_is_locked_out_by_hundreds_of_networks(auth: Auth) -> None:
    """While hundreds of networks guess at an account, its owner can always log in from a known network."""
    email, home = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    await overrule(auth, LONG_WAITS)

    async def attack() -> int:
        while "for this account" in (reply := await guess(auth, email, new_address())).body["detail"]:
            await asyncio.sleep(0.01)  # too many of them are there at once
        return reply.status

    async def sign_in() -> int:
        return (await guess(auth, email, home, PASSWORD)).status

    signed_in, attacked = await asyncio.gather(side_by_side(1, [sign_in] * 20), side_by_side(15, [attack] * 300))
    assert signed_in == [200] * 20
    assert sorted(attacked) == [401] * 20 + [429] * 280
    # the owner's attempts neither count against the account nor give the attackers another try
    await fail(auth, email, home)
    assert (await row_of(auth, "account", email))["failures"] == 20
    assert wait_of(await guess(auth, email, new_address()))


async def test_every_account_has_known_networks_of_its_own(auth: Auth) -> None:
    """A network that is known at one account is unknown at any other."""
    email, other, network = new_email(), new_email(), new_address()
    for address in (email, other):
        await auth.register(address)
    assert (await guess(auth, other, network, PASSWORD)).status == 200
    await overrule(auth, LONG_WAITS)
    for _ in range(20):
        await fail(auth, email, new_address())
    assert wait_of(await guess(auth, email, network, PASSWORD))


async def test_a_network_is_known_for_ninety_days(auth: Auth) -> None:
    """A network without a log-in at the account for 90 days is unknown again, even before a sweep."""
    email, network = new_email(), new_address()
    await auth.register(email)
    await auth.database.execute("UPDATE users SET created_at = now() - interval '1 year' WHERE email = $1", email)
    assert (await guess(auth, email, network, PASSWORD)).status == 200
    await overrule(auth, LONG_WAITS)
    for _ in range(20):
        await fail(auth, email, new_address())
    await auth.database.execute("UPDATE known_networks SET last_used_at = now() - interval '89 days'")
    assert (await guess(auth, email, network, PASSWORD)).status == 200
    assert await auth.database.fetchval("SELECT now() - last_used_at < interval '1 hour' FROM known_networks")
    await auth.database.execute("UPDATE known_networks SET last_used_at = now() - interval '90 days'")
    assert wait_of(await guess(auth, email, network, PASSWORD))


@pytest.mark.slow
async def test_a_network_has_fifty_failures(auth: Auth) -> None:
    """After 50 failures at any accounts, a network waits for the rest of the 15 minutes; other networks don't.

    A successful log-in in between neither clears the count nor adds to it.
    """
    email, network = new_email(), new_address()
    await auth.register(email)
    for number in range(49):
        await fail(auth, new_email(), network)
        if number % 12 == 0:
            assert (await guess(auth, email, network, PASSWORD)).status == 200
    assert (await row_of(auth, "network", network))["failures"] == 49
    await fail(auth, new_email(), network)
    row = await row_of(auth, "network", network)
    assert row["allowed_at"] == row["window_ends"]
    before = await clock(auth)
    for address, password in ((new_email(), WRONG), (email, PASSWORD)):
        seconds = wait_of(await guess(auth, address, network, password))
        assert seconds <= ceil((row["window_ends"] - before).total_seconds()) <= WINDOW
    assert (await guess(auth, email, new_address(), PASSWORD)).status == 200
    await elapse(auth, seconds)
    assert (await guess(auth, email, network, PASSWORD)).status == 200


@pytest.mark.slow
async def test_a_network_has_fifty_registrations(auth: Auth, hashed: list[str]) -> None:
    """A network can register 50 times in 15 minutes; a taken address counts, an invalid request doesn't."""
    network = new_address()

    async def register(email: str, password: str = PASSWORD) -> Reply:
        body = {"email": email, "password": password, "name": "Ada"}
        return await auth.ask("POST", "/register", body, headers={"X-Forwarded-For": network})

    emails = [new_email() for _ in range(49)]
    assert [(await register(email)).status for email in emails] == [201] * 49
    assert (await register(new_email(), "short")).status == 422
    assert (await register(emails[0])).status == 409
    hashed.clear()
    assert 1 <= wait_of(await register(new_email())) <= WINDOW
    assert hashed == []
    assert (await auth.register(new_email())).status == 201, "from another network"
    assert (await guess(auth, emails[0], network, PASSWORD)).status == 200, "logging in is not affected"
    await elapse(auth, WINDOW)
    assert (await register(new_email())).status == 201


@pytest.mark.parametrize(
    ("registered", "variants"),
    [
        ("ada{}@example.com", ["Ada{}@EXAMPLE.com", "ADA{}@Example.Com"]),
        ("ada{}@bücher.example.com", ["ada{}@xn--bcher-kva.example.com", "ADA{}@BÜCHER.example.com"]),
        ("zoe\u0308{}@example.com", ["zo\u00eb{}@example.com", "ZO\u00cb{}@example.com"]),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
async def test_spellings_of_an_address_count_together(
    auth: Auth, registered: str, variants: list[str], *, exists: bool
) -> None:
    """All spellings of an address count as one account, and waiting doesn't reveal whether it exists."""
    number, network = new_email().partition("@")[0], new_address()
    spellings = [text.format(number) for text in (registered, *variants)]
    if exists:
        assert (await auth.register(spellings[0])).status == 201
    await overrule(auth, LONG_WAITS)
    answers = [(await guess(auth, spellings[turn % 3], network)).status for turn in range(8)]
    assert answers == [401] * 5 + [429] * 3


async def test_no_address_can_be_read_in_the_table(auth: Auth) -> None:
    """The tables contain neither addresses nor networks, only their hashes."""
    email, networks = "some-name@some-domain.example.com", ("203.0.113.77", "203.0.113.78")
    await auth.register(email)
    await fail(auth, email, networks[0])
    assert (await guess(auth, email, networks[1], PASSWORD)).status == 200
    tables = [
        *await rows(auth),
        *await auth.database.fetch("SELECT * FROM known_networks"),
    ]
    for row in tables:
        assert len(row["key"]) == 32
        shown = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
        assert not any(part in shown.lower() for part in (b"some-", b"203.0", b"example"))
    assert len(tables) >= 5


async def test_every_place_that_asks_for_a_password_counts(auth: Auth, hashed: list[str]) -> None:
    """Wrong passwords at /login, /me/password and DELETE /me are counted together, and all three have to wait."""
    network, member = new_address(), await auth.join()
    headers = {"X-Forwarded-For": network}

    async def log_in(password: str) -> Reply:
        return await guess(auth, member.email, network, password)

    async def change(password: str) -> Reply:
        body = {"current_password": password, "new_password": "another long passphrase"}
        return await auth.ask("POST", "/me/password", body, member.tokens.account, headers=headers)

    async def delete(password: str) -> Reply:
        return await auth.ask("DELETE", "/me", {"password": password}, member.tokens.account, headers=headers)

    await overrule(auth, LONG_WAITS)
    answers = [says(await ask(WRONG)) for ask in (log_in, change, delete, change, delete)]
    assert answers == [(401, "credentials_invalid"), *[(403, "password_wrong")] * 4]
    hashed.clear()
    for ask in (log_in, change, delete):
        assert wait_of(await ask(PASSWORD))
    assert hashed == []
    await elapse(auth, 2 * 3600)
    assert (await change(PASSWORD)).status == 200
    # like a log-in, the right password there clears the failures and makes the network known
    counted = await row_of(auth, "pair", member.email, network)
    assert counted is None or counted["failures"] == 0
    assert await auth.database.fetchval(
        "SELECT count(*) FROM known_networks WHERE key = $1", _key("known", member.email, network)
    )


@pytest.mark.slow
async def test_of_a_thousand_parallel_tries_five_are_hashed(database_url: str, keyring_file: Path) -> None:
    """Of a thousand simultaneous attempts from one network at one account, over two replicas, five are hashed."""
    email, network = new_email(), new_address()
    async with (
        alone(database_url, keyring_file, CountingHasher(threads=64)) as one,
        alone(database_url, keyring_file, CountingHasher(threads=64)) as other,
        ClientSession(connector=TCPConnector(limit=250)) as http,
    ):
        await one.register(email)
        await overrule(one, LONG_WAITS)
        one.hasher.passwords.clear()
        replicas = Pair(one.auth, "", http), Pair(other.auth, "", http)
        replies = await asyncio.gather(*(guess(replicas[n % 2], email, network, f"{WRONG} {n}") for n in range(1000)))
    answers = [reply.status for reply in replies]
    assert answers.count(401) == len(one.hasher.passwords) + len(other.hasher.passwords) == 5
    # the others were told, by either replica, to wait or that the queue was full
    assert set(answers) <= {401, 429, 503}
    assert answers[0::2].count(429) > 20 < answers[1::2].count(429)


@pytest.mark.slow
async def test_four_parallel_failures_cause_no_wait(database_url: str, keyring_file: Path) -> None:
    """Four simultaneous attempts count as four failures, so none of them has to wait."""
    async with alone(database_url, keyring_file, CountingHasher(threads=4)) as auth:
        for _ in range(20):
            email, network = new_email(), new_address()
            answers = await asyncio.gather(*(guess(auth, email, network) for _ in range(4)))
            assert [reply.status for reply in answers] == [401] * 4


@pytest.mark.slow
async def test_a_burst_of_right_passwords_is_not_refused(database_url: str, keyring_file: Path) -> None:
    """Tries that wait for a turn don't count yet: many can sign in at once from one network, each to their account."""
    emails, network = [new_email() for _ in range(30)], new_address()
    async with alone(database_url, keyring_file, CountingHasher(threads=2)) as auth:
        for email in emails:
            await auth.register(email)
        answers = await asyncio.gather(*(guess(auth, email, network, PASSWORD) for email in emails))
    assert [reply.status for reply in answers] == [200] * 30


@pytest.mark.slow
async def test_parallel_tries_do_not_deadlock(database_url: str, keyring_file: Path) -> None:
    """Simultaneous right and wrong passwords for a few accounts from a few networks each get the right answer."""
    choose = random.Random(4)  # noqa: S311  not for secrets
    emails, networks = [new_email() for _ in range(3)], [new_address() for _ in range(3)]
    async with alone(database_url, keyring_file, CountingHasher(threads=30)) as auth:
        for email in emails:
            await auth.register(email)
        await overrule(auth, NO_WAITS)

        def task() -> Callable[[], Awaitable[tuple[str, int]]]:
            email, network, password = choose.choice(emails), choose.choice(networks), choose.choice((PASSWORD, WRONG))

            async def log_in() -> tuple[str, int]:
                while "for this account" in (reply := await guess(auth, email, network, password)).body.get(
                    "detail", ""
                ):
                    await asyncio.sleep(0.01)
                return password, reply.status

            return log_in

        answers = await side_by_side(30, [task() for _ in range(500)])
    assert set(answers) == {(PASSWORD, 200), (WRONG, 401)}


async def test_a_restart_forgets_nothing(database_url: str, keyring_file: Path) -> None:
    """Counters and known networks survive a restart."""
    email, network, home = new_email(), new_address(), new_address()
    async with alone(database_url, keyring_file) as auth:
        await auth.register(email)
        assert (await guess(auth, email, home, PASSWORD)).status == 200
        await overrule(auth, LONG_WAITS)
        await fail(auth, email, network, 5)
        for _ in range(15):
            await fail(auth, email, new_address())
    async with alone(database_url, keyring_file) as auth:
        for stranger in (network, new_address()):
            assert wait_of(await guess(auth, email, stranger, PASSWORD))
        assert (await guess(auth, email, home, PASSWORD)).status == 200


async def test_ended_windows_and_forgotten_networks_are_swept(own_auth: Auth, database_url: str) -> None:
    """Counters whose window and wait have ended, and networks unused for 90 days, are deleted in small batches."""
    email, network = new_email(), new_address()
    await own_auth.register(email)
    assert (await guess(own_auth, email, network, PASSWORD)).status == 200
    await own_auth.database.execute("DELETE FROM attempts")
    await fail(own_auth, email, network)
    await own_auth.database.execute(
        "INSERT INTO attempts SELECT sha256(n::text::bytea), 'pair', 7,"
        "       now() - interval '1 s', now() + CASE WHEN n <= 3 THEN interval '30 s' ELSE interval '-1 s' END"
        "  FROM generate_series(1, $1::int) AS n",
        3 + 2 * BATCH + 1,
    )
    await own_auth.database.execute(
        "INSERT INTO known_networks SELECT sha256(n::text::bytea), now() - interval '90 days'"
        "  FROM generate_series(1, 5) AS n"
    )
    async with opened(database_url) as database:
        store = SweepStore(database, POLICY, KNOWN_SECONDS)
        assert [await store.sweep() for _ in range(3)] == [True, True, False]
    kept = await rows(own_auth)
    assert sorted(row["failures"] for row in kept) == [1, 1, 1, 1, 1, 7, 7, 7]
    assert await own_auth.database.fetchval("SELECT count(*) FROM known_networks") == 1


async def test_by_default_no_header_says_who_the_client_is(database_url: str, keyring_file: Path) -> None:
    """Without TRUSTED_PROXIES, a client can't pass for another by X-Forwarded-For."""
    email = new_email()
    async with alone(database_url, keyring_file, trusted_proxies=0) as auth:
        await overrule(auth, LONG_WAITS)
        for _ in range(5):
            await fail(auth, email, new_address())
        assert wait_of(await guess(auth, email, new_address()))
        assert await row_of(auth, "pair", email, "127.0.0.1")


async def test_one_account_is_tried_from_one_ipv6_64(auth: Auth) -> None:
    """For the tries at one account, addresses of one IPv6 /64 are one network; those of the next are another."""
    email = new_email()
    await overrule(auth, LONG_WAITS)
    for host in ("::1", "::2", ":0:0:0:1", ":ffff::", ":ffff:ffff:ffff:ffff"):
        await fail(auth, email, f"2001:db8:1:2{host}")
    assert wait_of(await guess(auth, email, "2001:db8:1:2:abcd::9"))
    await fail(auth, email, "2001:db8:1:3::1")


@pytest.mark.slow
@pytest.mark.parametrize(("step", "failures"), [(0, 50), (1, 100), (0x100, 200)])
async def test_the_holder_of_many_ipv6_networks_is_one_client(auth: Auth, step: int, failures: int) -> None:
    """A /64 has 50 failures in 15 minutes, a /56 has 100 and a /48 has 200, at whatever accounts; others go on."""
    await auth.database.execute("DELETE FROM attempts")
    await overrule(auth, "NEW.kind = 'rate' THEN NEW.allowed_at := '-infinity'")  # this is not about the rate
    networks = [f"2001:db8:1:{number * step % 0x10000:x}::{number + 1:x}" for number in range(failures + 1)]
    answers = await side_by_side(10, [partial(guess, auth, new_email(), network) for network in networks[:-1]])
    assert [reply.status for reply in answers] == [401] * failures
    assert 1 <= wait_of(await guess(auth, new_email(), networks[-1])) <= WINDOW
    await fail(auth, new_email(), "2001:db8:2:1::1")


async def test_registrations_are_counted_by_the_wider_ipv6_networks_too(auth: Auth) -> None:
    """Once the registrations of a /48 are used up, its next /64 has none left either."""
    key = _key("register", "2001:db8:77::/48")
    await auth.database.execute(
        "INSERT INTO attempts VALUES ($1, 'register', 199, now() + interval '15 minutes', '-infinity')", key
    )
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    for network, status in (("2001:db8:77:1::1", 201), ("2001:db8:77:2::1", 429), ("2001:db8:78::1", 409)):
        reply = await auth.ask("POST", "/register", body, headers={"X-Forwarded-For": network})
        assert reply.status == status
