"""`python -m dev …` as make runs it, on free ports and in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dev import service_process

ENDS_SECONDS = 60


class Runner:
    """A `python -m dev run` that is ready.

    Args:
        data: Its DATA_DIR.
        more: Additional variables.
    """

    def __init__(self, data: Path, **more: str) -> None:
        self.data = data
        self.errors = data.parent / f"{data.name}.stderr"
        self.environment = environment(data, **more)
        self.said: list[str] = []
        """The lines printed before those to paste."""
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev", "run"],
                cwd=service_process.ROOT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.curls = self._read_until_curls()
        self.processes = self._family()

    def url(self, name: str) -> str:
        """Base URL of auth, posts or the console."""
        return f"http://127.0.0.1:{self.environment[f'{name.upper()}_PORT']}"

    def child(self, *words: str) -> psutil.Process:
        """The child process with these words in its command line."""
        [found] = [
            process
            for process in psutil.Process(self.process.pid).children()
            if all(any(word in part for part in process.cmdline()) for word in words)
        ]
        return found

    def paste(self, *lines: str) -> list[str]:
        """Run the lines in one shell, and return the lines that it prints."""
        script = "\n".join(lines)
        answer = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True, timeout=60)
        return answer.stdout.splitlines()

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        self.processes = [*self.processes, *self._family()]
        return self.process.wait(ENDS_SECONDS)

    def last_error(self) -> str:
        """The last line on standard error."""
        return self.errors.read_text().splitlines()[-1]

    def left_over(self) -> list[psutil.Process]:
        """Processes of this run that are still running."""
        _, alive = psutil.wait_procs(self.processes, timeout=15)
        return alive

    def _family(self) -> list[psutil.Process]:
        try:
            runner = psutil.Process(self.process.pid)
            return [runner, *runner.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _read_until_curls(self) -> list[str]:
        assert self.process.stdout is not None
        curls: list[str] = []
        while line := self.process.stdout.readline():
            if "curl" in line:
                curls.append(line.rstrip("\n"))
            elif curls:
                return curls
            else:
                self.said.append(line.rstrip("\n"))
        raise AssertionError(self.errors.read_text())


@contextmanager
def serving(data: Path, *, keep: bool = True, **more: str) -> Iterator[Runner]:
    """A runner that is ended after the block, whatever happens in it; `keep` its data, or delete them too."""
    runner = Runner(data, **more)
    try:
        yield runner
    finally:
        if runner.process.poll() is None:
            runner.process.terminate()
            runner.process.wait(ENDS_SECONDS)
        dev("stop" if keep else "reset", data)
        if runner.process.stdout is not None:
            runner.process.stdout.close()


def dev(command: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = start(command, data, **more)
    try:
        output, errors = process.communicate(timeout=ENDS_SECONDS)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def start(command: str, data: Path, **more: str) -> subprocess.Popen[str]:
    """Start a command without waiting for its end."""
    return subprocess.Popen(
        [sys.executable, "-m", "dev", command],
        cwd=service_process.ROOT,
        env=environment(data, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def environment(data: Path, **more: str) -> dict[str, str]:
    """Free ports, the cheapest password hash, and variables that other programs may need."""
    return {
        **os.environ,
        "DATA_DIR": str(data),
        "AUTH_PORT": str(service_process.free_port()),
        "POSTS_PORT": str(service_process.free_port()),
        "CONSOLE_PORT": str(service_process.free_port()),
        "BCRYPT_COST": "4",
        "HOST": "0.0.0.0",  # noqa: S104  must not reach the services
        "PORT": "tcp://10.0.0.1:8001",
        "DATABASE_URL": "mysql://elsewhere",
        "JWT_KEYRING": "not a keyring",
        "LOG_FORMAT": "xml",
        "PGPORT": "1",
        "PGHOST": "elsewhere",
        **more,
    }
