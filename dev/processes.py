"""Ending processes, and telling one from another that got its number later."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

CLOCK_SECONDS = 5.0
"""By how much a process's start time may seem to move: some systems reckon it from a clock that is set now and then."""

Identity = tuple[int, float]
"""Process id and start time."""


def identity(process: psutil.Process) -> Identity:
    """What finds the process again, and no other."""
    return process.pid, process.create_time()


def find(wanted: Identity) -> psutil.Process | None:
    """Return the process if it still runs."""
    pid, started = wanted
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < CLOCK_SECONDS
    except psutil.Error:
        return None
    return process if same and not has_ended(process) else None


def has_ended(process: psutil.Process) -> bool:
    """Whether it is over, even if its parent has not asked for its status and may never do so."""
    if isinstance(process, psutil.Popen):
        return process.poll() is not None
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(processes: Sequence[psutil.Process], *signals: signal.Signals, seconds: float) -> None:
    """Send the signals, one after the other with `seconds` in between, to those that still run; SIGKILL comes last."""
    for number in (*signals, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(has_ended(process) for process in processes):
                return
            time.sleep(0.02)


def how_it_ended(status: int | None) -> str:
    """Name an exit status the way a person would."""
    if status is None:
        return "ended"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
