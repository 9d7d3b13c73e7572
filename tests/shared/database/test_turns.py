"""The line for a database connection."""

import asyncio
import time
from collections.abc import Callable

import pytest

from shared.database.turns import Turns, wanted_seconds
from shared.errors import Busy


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


async def _after_turns_of(
    seconds: float, *, count: int, clock: Clock, wanted: Callable[[], float] = lambda: 0.0
) -> Turns:
    """Turns of which many have lasted so long."""
    turns = Turns(count, 1.0, "Nothing", clock, wanted)
    for _ in range(100):
        began = await turns.take()
        clock.seconds += seconds
        turns.give_back(began)
    return turns


async def test_the_line_is_as_long_as_it_can_be_served() -> None:
    """With two turns of 0.1 s each, 20 can be served within a second; the next one is refused without waiting."""
    clock = Clock()
    turns = await _after_turns_of(0.1, count=2, clock=clock)
    held = [await turns.take(), await turns.take()]
    line = [asyncio.create_task(turns.take()) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in range(10):
        with pytest.raises(Busy) as refused:
            await turns.take()
    assert turns.waiting == 20
    assert refused.value.data["retry_after"] == 1
    for began in held:
        turns.give_back(began)
    for served in line:
        turns.give_back(await served)
    assert turns.waiting == 0


async def test_a_hanging_database_fills_no_line() -> None:
    """While no turn ends, the line stays as short as if every turn lasted as long as the present ones already have."""
    clock = Clock()
    turns = await _after_turns_of(0.001, count=2, clock=clock)
    held = [await turns.take(), await turns.take()]
    clock.seconds += 5
    with pytest.raises(Busy):
        await turns.take()
    for began in held:
        turns.give_back(began)
    await turns.take()


async def test_who_leaves_the_line_gives_up_no_turn() -> None:
    """Whoever is cancelled while waiting, or in the moment of getting the turn, takes none away."""
    turns = Turns(1, 1.0, "Nothing", Clock(), lambda: 0.0)
    began = await turns.take()
    early, passed_over, late, stays = (asyncio.create_task(turns.take()) for _ in range(4))
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    passed_over.cancel()  # it has not left the line yet when the turn is passed on
    turns.give_back(began)
    late.cancel()  # it has its turn, but does not know it yet
    for task in (early, passed_over, late):
        with pytest.raises(asyncio.CancelledError):
            await task
    turns.give_back(await stays)
    turns.give_back(await turns.take())


async def test_nobody_waits_longer_than_the_limit() -> None:
    """If the turns last longer than before, those in line are refused when their time is up, and lose no turn."""
    turns = Turns(1, 0.02, "Nothing", Clock(), lambda: 0.0)
    began = await turns.take()
    with pytest.raises(Busy):
        await turns.take()
    turns.give_back(began)
    turns.give_back(await turns.take())


async def test_a_slow_process_refuses_nobody_at_once() -> None:
    """While this process has no time, the line has no bound: refusing would only bring the next request sooner."""
    clock = Clock()
    turns = await _after_turns_of(1.0, count=1, clock=clock, wanted=lambda: 0.95 * clock.seconds)
    await turns.take()
    line = [asyncio.create_task(turns.take()) for _ in range(50)]
    await asyncio.sleep(0)
    assert turns.waiting == 50
    for task in line:
        task.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    assert turns.waiting == 0


def test_the_work_of_a_thread_is_measured() -> None:
    """A thread that computes all the time has as much work as time; one that sleeps has none."""
    began, before = time.monotonic(), wanted_seconds()
    while time.monotonic() < began + 0.2:
        pass
    assert 0.8 < (wanted_seconds() - before) / (time.monotonic() - began) < 1.2
    before = wanted_seconds()
    time.sleep(0.2)
    assert wanted_seconds() - before < 0.1
