"""A crowd at the queue for hashing: however many log-ins some send, others get their turn."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import pytest

from auth_service.passwords import ACCOUNT_TURNS, QUEUE_PER_THREAD, HashingQueue
from auth_service.throttle import NETWORK_RATE, RATE, RATE_SECONDS, _key
from shared.errors import Busy
from tests.api_client import PASSWORD, Reply, new_address, new_email
from tests.auth_service.alone import Auth, alone
from tests.auth_service.hashing import CountingHasher
from tests.auth_service.test_passwords import until
from tests.auth_service.test_throttle import elapse, fail, guess, wait_of


@pytest.fixture
async def auth(database_url: str, keyring_file: Path) -> AsyncIterator[Auth]:
    """The service with one thread for hashes, whose queue is soon full."""
    async with alone(database_url, keyring_file, CountingHasher(threads=1)) as auth:
        yield auth


def places(queue: HashingQueue, network: str, taken: ExitStack) -> int:
    """How many places a network gets if it takes all it can."""
    for count in range(queue.capacity + 1):
        try:
            taken.enter_context(queue.place(network))
        except Busy:
            return count
    raise AssertionError("there is no limit")


def test_a_network_gets_no_more_places_than_it_leaves_free() -> None:
    """One network gets half of the places, the next a half of the rest, and so on; a newcomer finds one free."""
    queue = HashingQueue(threads=2)
    with ExitStack() as taken:
        assert [places(queue, f"network {n}", taken) for n in range(5)] == [33, 17, 8, 4, 2]
        with queue.place("a newcomer"):
            pass
    assert queue.taken == 0
    assert not queue._by_network, "what was given back is not remembered"


async def test_networks_have_their_turns_in_rotation() -> None:
    """A network that waits with many requests gets one turn before the next network gets its own."""
    queue, order = HashingQueue(threads=1), list[str]()

    async def hash_for(network: str) -> None:
        async with queue.turn(network):
            order.append(network)
            await asyncio.sleep(0)

    async with AsyncExitStack() as busy:
        for _ in range(2):
            await busy.enter_async_context(queue.turn("x"))
        waiting = [asyncio.create_task(hash_for(network)) for network in "aaaaabbc"]
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*waiting)
    assert "".join(order) == "abcabaaa"


async def test_a_turn_is_not_lost_by_those_who_leave() -> None:
    """Who leaves while waiting, or in the moment in which the turn is theirs, leaves it to the next."""
    queue, done = HashingQueue(threads=1), list[int]()

    async def hash_for(number: int) -> None:
        async with queue.turn(f"network {number % 3}"):
            done.append(number)

    for leave_first in (True, False):
        done.clear()
        async with AsyncExitStack() as busy:
            for _ in range(2):
                await busy.enter_async_context(queue.turn("x"))
            waiting = [asyncio.create_task(hash_for(number)) for number in range(30)]
            await asyncio.sleep(0)
            if leave_first:
                for task in waiting[::2]:
                    task.cancel()
        if not leave_first:  # two have just been given their turn, and don't know it yet
            for task in waiting[::2]:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
        assert sorted(done) == list(range(1, 30, 2))
        assert queue._turns == 2
        assert not queue._waiting


@pytest.mark.slow
async def test_a_crowd_from_one_address_keeps_nobody_out(auth: Auth) -> None:
    """While one address sends 80 log-ins with the right password, somebody elsewhere does not wait for all of them."""
    owned, email, crowded = [new_email() for _ in range(20)], new_email(), new_address()
    for address in (*owned, email):
        await auth.register(address)
    with auth.hasher.held():
        # four at each account, so that none is refused because of its account
        crowd = [asyncio.create_task(guess(auth, owned[n % 20], crowded, PASSWORD)) for n in range(80)]
        await until(lambda: sum(task.done() for task in crowd) + auth.hasher.places == 80)
        victim = asyncio.create_task(guess(auth, email, new_address(), PASSWORD))
        refused = sum(task.done() for task in crowd)
        await until(lambda: auth.hasher.queue.waiting == 80 - refused + 1 - 2)  # two have a turn
    assert (await victim).status == 200
    hashes = await auth.database.fetch("SELECT password_hash, email FROM users")
    turns = [{row["password_hash"]: row["email"] for row in hashes}[text] for text in auth.hasher.checked]
    await asyncio.gather(*crowd)
    # the fourth turn is the victim's; a few of the crowd may overtake while its rows are read, and in the order of
    # arrival it would come after all of them
    assert turns.index(email) < (80 - refused) // 2
    answers = [task.result() for task in crowd]
    assert [reply.status for reply in answers if reply.status == 503] == [503] * refused
    assert refused == 80 - (1 + QUEUE_PER_THREAD + 1) // 2
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in answers if reply.status != 200)


@pytest.mark.slow
async def test_those_who_guess_at_an_account_take_few_turns(auth: Auth) -> None:
    """Of many networks that try one account at once, a few wait for a turn; the owner is not one of them at home."""
    email, home = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, home, PASSWORD)).status == 200
    with auth.hasher.held():
        crowd = [asyncio.create_task(guess(auth, email, new_address())) for _ in range(20)]
        await until(lambda: sum(task.done() for task in crowd) == 20 - ACCOUNT_TURNS)
        assert {(await task).status for task in crowd if task.done()} == {503}
        owner = asyncio.create_task(guess(auth, email, home, PASSWORD))
        other = asyncio.create_task(guess(auth, new_email(), new_address()))
        await until(lambda: auth.hasher.places == ACCOUNT_TURNS + 2)
    assert ((await owner).status, (await other).status) == (200, 401)
    assert sorted(reply.status for reply in await asyncio.gather(*crowd)) == [401] * 4 + [503] * 16
    assert not auth.hasher.queue._by_account


async def test_a_crowd_is_not_told_whether_the_account_knows_its_network(auth: Auth) -> None:
    """Of twelve tries at once from one network, four have a turn, at any account and at addresses that have none.

    Somebody in the same network could otherwise find out who has signed in from there.
    """
    network, known, strange, missing = new_address(), new_email(), new_email(), new_email()
    for email in (known, strange):
        await auth.register(email)
    assert (await guess(auth, known, network, PASSWORD)).status == 200

    def enough(crowd: list[asyncio.Task[Reply]]) -> bool:
        return sum(task.done() for task in crowd) == 12 - ACCOUNT_TURNS

    answers = []
    for email in (known, strange, missing):
        with auth.hasher.held():
            crowd = [asyncio.create_task(guess(auth, email, network)) for _ in range(12)]
            await until(partial(enough, crowd))
        replies = await asyncio.gather(*crowd)
        answers.append(Counter((reply.status, reply.code, reply.headers.get("Retry-After")) for reply in replies))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] == {(401, "credentials_invalid", None): ACCOUNT_TURNS, (503, "busy", "2"): 12 - ACCOUNT_TURNS}
    assert not auth.hasher.queue._by_account


async def so_far(auth: Auth, attempts: int, *parts: str) -> None:
    """Let that many attempts have been made in this minute, so that no test has to be fast."""
    done = await auth.database.execute(
        "UPDATE attempts SET failures = $2, window_ends = now() + $3 * interval '1 s' WHERE key = $1 AND failures > 0",
        _key("rate", *parts),
        attempts,
        RATE_SECONDS,
    )
    assert done == "UPDATE 1"


async def test_an_account_is_signed_in_to_so_many_times_a_minute(auth: Auth) -> None:
    """From one network, 30 times a minute, however right the password is; from another network it goes on."""
    email, network = new_email(), new_address()
    await auth.register(email)
    assert (await guess(auth, email, network, PASSWORD)).status == 200
    await so_far(auth, RATE.failures - 1, email, network)
    assert (await guess(auth, email, network, PASSWORD)).status == 200
    auth.hasher.passwords.clear()
    assert 1 <= wait_of(await guess(auth, email, network, PASSWORD)) <= RATE_SECONDS
    assert auth.hasher.passwords == []
    assert (await guess(auth, email, new_address(), PASSWORD)).status == 200
    await elapse(auth, RATE_SECONDS)
    assert (await guess(auth, email, network, PASSWORD)).status == 200


@pytest.mark.parametrize(
    ("networks", "widest"),
    [
        (["192.0.2.1"] * 3, "192.0.2.1"),
        (["2001:db8:1:1::1", "2001:db8:1:ffff::1", "2001:db8:1:8000::1"], "2001:db8:1::/48"),
    ],
)
async def test_a_network_signs_in_so_many_times_a_minute(auth: Auth, networks: list[str], widest: str) -> None:
    """An IPv4 address or an IPv6 /48 has 120 log-ins a minute, at whatever accounts."""
    emails = [new_email() for _ in range(3)]
    for email in emails:
        await auth.register(email)
    assert (await guess(auth, emails[0], networks[0], PASSWORD)).status == 200
    await so_far(auth, NETWORK_RATE.failures - 1, widest)
    assert (await guess(auth, emails[1], networks[1], PASSWORD)).status == 200
    assert 1 <= wait_of(await guess(auth, emails[2], networks[2], PASSWORD)) <= RATE_SECONDS
    assert (await guess(auth, emails[2], new_address(), PASSWORD)).status == 200


async def test_the_rate_tells_nothing_about_the_account(auth: Auth) -> None:
    """Failures count towards the rate like successes, at accounts that don't exist too."""
    known, unknown = new_email(), new_email()
    await auth.register(known)
    for email in (known, unknown):
        network = new_address()
        await fail(auth, email, network)
        await so_far(auth, RATE.failures - 1, email, network)
        await fail(auth, email, network)
        assert 1 <= wait_of(await guess(auth, email, network)) <= RATE_SECONDS
