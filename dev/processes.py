"""End processes, and find a recorded process again without mistaking another one for it."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

CLOCK_SECONDS = 5.0
"""Tolerance for start times: some systems compute them from a clock that may be adjusted."""


def find(pid: int, started: float) -> psutil.Process | None:
    """Return the running process with this id and start time."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < CLOCK_SECONDS and not has_ended(process):
            return process
    return None


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, even if its parent never collects its exit status."""
    if isinstance(process, psutil.Popen):
        return process.poll() is not None
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(processes: Sequence[psutil.Process], *signals: signal.Signals, seconds: float) -> None:
    """Send each signal, then SIGKILL, to the processes that are left, allowing `seconds` after each."""
    for number in (*signals, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(has_ended(process) for process in processes):
                return
            time.sleep(0.02)


def how_it_ended(status: int) -> str:
    """Describe an exit status in words."""
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
