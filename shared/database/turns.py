"""Turns at something scarce: first come, first served, and whoever would wait too long is refused at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from shared.errors import Busy

_WEIGHT = 1 / 16
"""How much the latest turn counts in the mean; a change shows after some 16 turns."""


class Turns:
    """A number of turns that can be had at the same time.

    Under overload, a line with a time limit alone would grow until everyone in it waits for the whole limit, and most
    for nothing. So the line is no longer than what can be served in time: a newcomer is refused if, at the rate at
    which turns end at present, it would wait longer than `seconds`.

    Args:
        count: How many turns there are.
        seconds: How long anyone waits for one.
        what: What the turns are for; the error begins with it.
        now: A clock, in seconds.
    """

    def __init__(self, count: int, seconds: float, what: str, now: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._free = count
        self._seconds = seconds
        self._what = what
        self._now = now
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean = 0.0  # how long a turn lasts
        self._latest = 0.0  # when the latest turn began

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._waiting)

    async def take(self) -> float:
        """Take a turn, waiting in line if necessary. Return when it began, which `give_back` needs.

        Raises:
            Busy: the wait would be or was too long.
        """
        if self._free:  # then nobody is waiting
            self._free -= 1
        elif self._expected_wait() > self._seconds:
            raise self._busy()
        else:
            await self._wait()
        self._latest = self._now()
        return self._latest

    def give_back(self, began: float) -> None:
        """End a turn that began at this time, and pass it on to the first in line."""
        self._mean += (self._now() - began - self._mean) * _WEIGHT
        self._pass_on()

    def _expected_wait(self) -> float:
        # if no turn has ended for a long time, as when the database hangs, the mean of the past says too little
        lasts = max(self._mean, self._now() - self._latest)
        return (len(self._waiting) + 1) * lasts / self._count

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if not turn.cancelled():  # it got its turn in the moment in which it left
                self._pass_on()
            elif turn in self._waiting:  # otherwise it has been passed over already
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _busy(self) -> Busy:
        return Busy(
            f"{self._what} becomes free within {self._seconds:.0f} s", data={"retry_after": math.ceil(self._seconds)}
        )
