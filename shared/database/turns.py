"""A queue for database connections: first come, first served. Requests that would wait too long are refused at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from shared.errors import Busy

_WEIGHT = 1 / 16
"""How much the latest value counts in a mean; a change shows after some 16 values."""

_BUSY = 0.9
"""If the event loop's thread has work for more than this part of the time, this process is what everyone waits for."""

_SAMPLE_SECONDS = 0.25
"""How long the thread is watched before its load is judged."""

_LONG_SECONDS = 0.25
"""Turns that last for this long make the expected wait longer before they end."""

_PATIENCE_SECONDS = 5.0
"""How long anyone waits if this process is itself too slow."""


def wanted_seconds() -> float:
    """Return how long this thread has computed, or could have if it had been given a core."""
    try:
        computed, waited, _ = Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()
    except OSError:  # not Linux
        return time.thread_time()
    return (int(computed) + int(waited)) / 1e9


class Turns:
    """A number of turns that can be had at the same time.

    Under overload, a line with a time limit alone would grow until everyone in it waits for the whole limit, and most
    for nothing. So the line is no longer than what can be served in time: a newcomer is refused if, at the rate at
    which turns end at present, it would wait longer than `seconds`.

    If this process itself is too slow, nobody is refused before _PATIENCE_SECONDS. To refuse costs it about as much as
    to serve, and clients that try again at once would leave no time to serve anyone; in line, they send nothing.

    Args:
        count: How many turns there are.
        seconds: How long a wait may be expected to be, while the process has time.
        patience: After how many seconds a wait ends that takes longer than expected; by default `seconds`.
        what: What the turns are for; the error begins with it.
        now: A clock, in seconds.
        wanted: As `wanted_seconds`.
    """

    def __init__(
        self,
        count: int,
        seconds: float,
        what: str,
        now: Callable[[], float] = time.monotonic,
        wanted: Callable[[], float] = wanted_seconds,
        *,
        patience: float | None = None,
    ) -> None:
        self._count = count
        self._free = count
        self._seconds = seconds
        self._patience = seconds if patience is None else patience
        self._what = what
        self._now = now
        self._wanted = wanted
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lasts = 0.0  # mean time of a turn
        self._latest = 0.0  # when the latest turn began
        self._load = 0.0  # the part of the time in which this thread had work, in the latest sample
        self._sample = (0.0, 0.0)  # when the present sample began, and how much work there had been until then

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
        elif self._is_itself_slow():
            await self._wait(max(self._seconds, _PATIENCE_SECONDS))
        elif self._expected_wait() <= self._seconds:
            await self._wait(self._patience)
        else:
            raise self._busy()
        self._latest = self._now()
        return self._latest

    def give_back(self, began: float) -> None:
        """End a turn that began at this time, and pass it on to the first in line."""
        self._lasts += (self._now() - began - self._lasts) * _WEIGHT
        self._pass_on()

    def _expected_wait(self) -> float:
        # if no turn has begun for a long time, as when the database hangs, the mean of the past says too little
        since = self._now() - self._latest
        lasts = max(self._lasts, since if since > _LONG_SECONDS else 0.0)
        return (len(self._waiting) + 1) * lasts / self._count

    def _is_itself_slow(self) -> bool:
        began, before = self._sample
        now = self._now()
        if now - began >= _SAMPLE_SECONDS:
            wanted = self._wanted()
            self._load = (wanted - before) / (now - began)
            self._sample = (now, wanted)
        return self._load > _BUSY

    async def _wait(self, seconds: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
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
            f"{self._what} becomes free within {self._seconds:g} s", data={"retry_after": math.ceil(self._seconds)}
        )
