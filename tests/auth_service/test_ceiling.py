"""The ceiling: after a hundred failures in a row, an account is closed to networks that it doesn't know."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from auth_service.handlers import ACCOUNTS
from auth_service.model import SessionPolicy
from auth_service.store.sweep import SweepStore
from auth_service.throttle import CEILING_FAILURES, CLOSED_RETRY_SECONDS, KNOWN_SECONDS
from tests.api_client import PASSWORD, Reply, new_address, new_email
from tests.auth_service.alone import Auth, alone, says, without_id
from tests.auth_service.hashing import CountingHasher
from tests.auth_service.test_passwords import until
from tests.auth_service.test_throttle import WRONG, elapse, fail, guess, overrule, row_of, side_by_side
from tests.postgres import opened

YEAR = 365 * 86_400
POLICY = SessionPolicy(idle_seconds=14 * 86_400, absolute_seconds=90 * 86_400, grace_seconds=60)

ONLY_CEILINGS = "NEW.kind <> 'ceiling' THEN NEW.allowed_at := '-infinity'"
"""No other limit makes anybody wait, so that a hundred failures don't take hours."""


@pytest.fixture
async def auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """A service of the test's own, in which only the ceiling counts."""
    async with alone(database_url, keyring_file) as auth:
        await overrule(auth, ONLY_CEILINGS)
        yield auth


async def guess_from_anywhere(auth: Auth, email: str) -> Reply:
    """Guess wrong, from a network of its own."""
    return await guess(auth, email, new_address())


async def fail_everywhere(auth: Auth, email: str, times: int) -> None:
    """Guess wrong that many times, each time from a network of its own."""
    answers = await side_by_side(2, [partial(guess_from_anywhere, auth, email)] * times)
    assert [reply.status for reply in answers] == [401] * times


async def close(auth: Auth, email: str) -> None:
    """Let the next failure from a network that the account doesn't know close it, and fail once more."""
    await fail(auth, email, new_address())
    key = (await row_of(auth, "ceiling", email))["key"]
    await auth.database.execute("UPDATE attempts SET failures = $2 WHERE key = $1", key, CEILING_FAILURES - 1)
    await fail(auth, email, new_address())


async def set_password(auth: Auth, email: str, password: str) -> None:
    """Set a password, as the operator."""
    accounts = auth.app[ACCOUNTS]
    await accounts.set_password(await accounts.find(email), password)


def assert_closed(reply: Reply) -> None:
    """It is said why, and what to do."""
    assert says(reply) == (429, "too_many_attempts")
    assert "100 failed attempts in a row" in reply.body["detail"]
    assert "where you have signed in before" in reply.body["hint"]
    assert reply.headers["Retry-After"] == str(CLOSED_RETRY_SECONDS)


async def closures(auth: Auth, event: str = "closed_by_guessing") -> list[asyncpg.Record]:
    """What was recorded of accounts that guessing has closed."""
    found: list[asyncpg.Record] = await auth.database.fetch("SELECT * FROM audit_events WHERE event = $1", event)
    return found


async def test_after_a_hundred_failures_an_account_is_closed(auth: Auth) -> None:
    """The hundredth failure in a row closes it to networks that it doesn't know, for the right password too."""
    email = new_email()
    await auth.register(email)
    await fail_everywhere(auth, email, CEILING_FAILURES)
    auth.hasher.passwords.clear()
    for password in (WRONG, PASSWORD):
        assert_closed(await guess(auth, email, new_address(), password))
    assert auth.hasher.passwords == []
    await fail(auth, new_email(), new_address())


@pytest.mark.slow
async def test_time_does_not_open_it(auth: Auth, database_url: str) -> None:
    """Windows end and sweeps come, and the account is closed still, years later."""
    email = new_email()
    await auth.register(email)
    await fail_everywhere(auth, email, CEILING_FAILURES)
    await elapse(auth, 3 * YEAR)
    async with opened(database_url) as database:
        await SweepStore(database, POLICY, KNOWN_SECONDS).sweep()
    assert_closed(await guess(auth, email, new_address(), PASSWORD))


@pytest.mark.slow
async def test_patience_does_not_help(auth: Auth, database_url: str) -> None:
    """Failures with months in between, and sweeps, are a row still; after a year of rest they are forgotten."""
    email = new_email()
    async with opened(database_url) as database:
        for _ in range(3):
            await fail_everywhere(auth, email, 30)
            await elapse(auth, YEAR - 86_400)
            await SweepStore(database, POLICY, KNOWN_SECONDS).sweep()
        await fail_everywhere(auth, email, 9)
        assert (await row_of(auth, "ceiling", email))["failures"] == 99
        await elapse(auth, YEAR)
        await SweepStore(database, POLICY, KNOWN_SECONDS).sweep()
    assert await row_of(auth, "ceiling", email) is None


@pytest.mark.slow
async def test_a_log_in_ends_the_row(auth: Auth) -> None:
    """A success, from wherever, starts the count anew."""
    email, home = new_email(), new_address()
    await auth.register(email)
    for network in (home, home, new_address()):
        await fail_everywhere(auth, email, CEILING_FAILURES - 1)
        assert (await guess(auth, email, network, PASSWORD)).status == 200
    assert (await row_of(auth, "ceiling", email))["failures"] == 0


@pytest.mark.slow
async def test_a_known_network_is_not_affected_and_opens_it(auth: Auth) -> None:
    """Where the owner has signed in before, they can sign in, which opens the account for all networks."""
    email, home = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    await fail_everywhere(auth, email, CEILING_FAILURES)
    await fail(auth, email, home, 3)
    assert_closed(await guess(auth, email, new_address(), PASSWORD))
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    assert (await guess(auth, email, new_address(), PASSWORD)).status == 200


@pytest.mark.slow
async def test_a_known_network_has_a_ceiling_of_its_own(auth: Auth) -> None:
    """Someone who guesses from a network that the account knows has a hundred failures, then it knows it no more.

    A log-in from there makes it known again.
    """
    email, home = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    await fail(auth, email, home, CEILING_FAILURES)
    assert len(await closures(auth, "known_network_forgotten")) == 1
    await fail(auth, email, home)
    assert (await row_of(auth, "ceiling", email))["failures"] == 1, "it counts as a stranger's"
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    await fail(auth, email, home)
    assert (await row_of(auth, "ceiling", email))["failures"] == 0
    await fail_everywhere(auth, email, CEILING_FAILURES)
    assert (await guess(auth, email, home, PASSWORD)).status == 200


@pytest.mark.slow
async def test_a_new_password_opens_it(auth: Auth) -> None:
    """A password that the operator sets opens the account, and the failures are forgotten."""
    member = await auth.join()
    await fail_everywhere(auth, member.email, CEILING_FAILURES)
    await set_password(auth, member.email, "a brand new passphrase")
    assert (await guess(auth, member.email, new_address(), "a brand new passphrase")).status == 200
    await fail_everywhere(auth, member.email, CEILING_FAILURES)
    assert_closed(await guess(auth, member.email, new_address()))


async def test_a_password_that_the_operator_sets_ends_the_knowledge_of_networks(auth: Auth) -> None:
    """After an operator sets a password, networks that were known before count as unknown, and share one ceiling."""
    email, home, thief = new_email(), new_address(), new_address()
    await auth.register(email)
    for network in (home, thief):
        assert (await guess(auth, email, network, PASSWORD)).status == 200
    await set_password(auth, email, "a brand new passphrase")
    await fail(auth, email, thief)
    assert (await row_of(auth, "ceiling", email))["failures"] == 1, "it counts as a stranger's"
    assert (await guess(auth, email, home, "a brand new passphrase")).status == 200
    await close(auth, email)
    assert_closed(await guess(auth, email, thief))
    assert (await guess(auth, email, home, "a brand new passphrase")).status == 200


async def test_a_change_of_the_own_password_keeps_known_networks(auth: Auth) -> None:
    """Someone who changes the password because of an attack isn't locked out of the places where they sign in."""
    email, home = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    change = {"current_password": PASSWORD, "new_password": "a brand new passphrase"}
    assert (await auth.ask("POST", "/me/password", change, (await auth.sign_in(email)).account)).status == 200
    await close(auth, email)
    assert (await guess(auth, email, home, "a brand new passphrase")).status == 200


@pytest.mark.slow
async def test_a_new_account_is_open(auth: Auth) -> None:
    """Nobody can close an address before it is registered; a registration that is refused opens nothing."""
    email = new_email()
    await fail_everywhere(auth, email, CEILING_FAILURES)
    assert (await auth.register(email)).status == 201
    assert (await guess(auth, email, new_address(), PASSWORD)).status == 200
    await fail_everywhere(auth, email, CEILING_FAILURES)
    assert (await auth.register(email)).status == 409
    assert_closed(await guess(auth, email, new_address(), PASSWORD))


async def test_a_new_account_knows_no_network_of_an_earlier_one(auth: Auth) -> None:
    """Nobody can prepare networks for an address by opening an account there, and deleting it.

    A log-in makes such a network known to the new account, at once.
    """
    email, networks = new_email(), [new_address() for _ in range(3)]
    await auth.register(email)
    for network in networks:
        assert (await guess(auth, email, network, PASSWORD)).status == 200
    token = (await auth.sign_in(email)).account
    assert (await auth.ask("DELETE", "/me", {"password": PASSWORD}, token)).status == 204
    assert (await auth.register(email)).status == 201
    await fail(auth, email, networks[0])
    assert (await row_of(auth, "ceiling", email))["failures"] == 1, "it counts as a stranger's"
    assert (await guess(auth, email, networks[1], PASSWORD)).status == 200
    await close(auth, email)
    assert_closed(await guess(auth, email, networks[2], PASSWORD))
    assert (await guess(auth, email, networks[1], PASSWORD)).status == 200


async def test_a_log_in_to_an_account_that_is_being_deleted_makes_no_network_known(auth: Auth) -> None:
    """A log-in that ends after the address was registered again says nothing about the new account."""
    email, network = new_email(), new_address()
    await auth.register(email)
    password_hash = await auth.hasher.hash("the password of somebody else")
    with auth.hasher.held():
        login = asyncio.create_task(guess(auth, email, network, PASSWORD))
        await until(lambda: len(auth.hasher.checked) == 1)
        await auth.database.execute("DELETE FROM users WHERE email_key = $1", email)
        await auth.database.execute(
            "INSERT INTO users (id, email, email_key, name, password_hash) VALUES ($1, $2, $2, 'Ada', $3)",
            uuid4(),
            email,
            password_hash,
        )
    assert (await login).status == 401
    await close(auth, email)
    assert_closed(await guess(auth, email, network))


@pytest.mark.slow
async def test_it_is_recorded_once(auth: Auth) -> None:
    """The audit table says when an account was closed, once, and from where the last guess came."""
    account = await auth.register(email := new_email())
    await fail_everywhere(auth, email, CEILING_FAILURES - 1)
    assert await closures(auth) == []
    for _ in range(3):
        await guess(auth, email, "192.0.2.99")
    [event] = await closures(auth)
    assert (event["user_id"], str(event["address"])) == (UUID(account.body["id"]), "192.0.2.99")


@pytest.mark.slow
async def test_an_unknown_account_is_closed_alike(auth: Auth) -> None:
    """Whether the account exists can't be told: every answer up to the ceiling and beyond is the same."""
    known, unknown = new_email(), new_email()
    await auth.register(known)
    answers = []
    for email in (known, unknown):
        replies = await side_by_side(1, [partial(guess_from_anywhere, auth, email)] * 103)
        answers.append([without_id(reply) for reply in replies])
    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [401] * 100 + [429] * 3
    # and so is what is written, but for whom it is about
    assert [event["user_id"] is None for event in await closures(auth)] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("exists", [True, False])
async def test_a_hundred_are_hashed_at_two_replicas(database_url: str, keyring_file: Path, *, exists: bool) -> None:
    """Of 50 tries at a time, at two replicas, exactly a hundred are hashed, and nobody waits for a lock in vain."""
    email = new_email()
    async with (
        alone(database_url, keyring_file, CountingHasher(threads=30)) as one,
        alone(database_url, keyring_file, CountingHasher(threads=30)) as other,
    ):
        if exists:
            await one.register(email)
        await overrule(one, ONLY_CEILINGS)
        one.hasher.passwords.clear()

        async def attempt(replica: Auth) -> int:
            while "for this account" in (reply := await guess(replica, email, new_address())).body["detail"]:
                await asyncio.sleep(0.01)  # too many are at this account just now
            return reply.status

        tries = [lambda: attempt(one), lambda: attempt(other)] * 100
        answers = await side_by_side(50, tries)
        assert len(one.hasher.passwords) + len(other.hasher.passwords) == CEILING_FAILURES
        assert (await row_of(one, "ceiling", email))["failures"] == CEILING_FAILURES
        assert len(await closures(one)) == 1
    assert sorted(answers) == [401] * 100 + [429] * 100


@pytest.mark.slow
async def test_right_and_wrong_passwords_at_two_replicas_do_not_wait_for_each_other(
    database_url: str, keyring_file: Path
) -> None:
    """50 at a time, from IPv6 networks that share wider ones, at three accounts: no deadlock, and true counts."""
    emails = [new_email() for _ in range(3)]
    async with (
        alone(database_url, keyring_file, CountingHasher(threads=30)) as one,
        alone(database_url, keyring_file, CountingHasher(threads=30)) as other,
    ):
        for email in emails:
            await one.register(email)
            for number in range(10):  # all are known, so that each try has a turn
                assert (await guess(one, email, f"2001:db8:1:{number}00::1", PASSWORD)).status == 200
        await overrule(one, "true THEN NEW.allowed_at := '-infinity'")
        await one.database.execute("DELETE FROM attempts")

        async def attempt(number: int) -> tuple[bool, int]:
            replica, right = (one, other)[number % 2], number % 3 == 0
            network = f"2001:db8:1:{number % 10}00::{number + 1:x}"
            return right, (await guess(replica, emails[number % 3], network, PASSWORD if right else WRONG)).status

        answers = await side_by_side(50, [partial(attempt, number) for number in range(600)])
        assert set(answers) == {(True, 200), (False, 401)}
        assert (await row_of(one, "network", "2001:db8:1::/48"))["failures"] == 400
        assert (await row_of(one, "rate", "2001:db8:1::/48"))["failures"] == 600
