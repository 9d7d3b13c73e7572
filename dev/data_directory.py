"""The data directory: what `make run` keeps there, which processes use it, and how it is deleted."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from dev import Failure, postgres, processes, service_process

RUNNER = "runner"
RUNNER_SECONDS = 60.0
"""Time limit for a runner to stop its services and Postgres."""

STOP_AUTH, START_AUTH = "stop-auth", "start-auth"
"""Requests to a runner."""

STATE_FOLDERS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  only for a folder with a random name
"""Folders that every user can enter; the first that exists is used. Some systems delete old files in /var/tmp."""

_POLL_SECONDS = 0.05

# the record comes last: while it is there, `make reset` can be tried again
# fmt: off
_MADE = (
    "postgres", "postgres.new", "postgres-programs", "postgres.log",
    "keyring.json", ".keyring.json.*.new", "account-keyring.json", ".account-keyring.json.*.new",
    "gallery.json", "*-auth.request", "run.lock", "processes.new", "processes.json",
)
# fmt: on


class DataDirectory:
    """What `make run` keeps between runs, and the record of the processes of the current run."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.keyring = self.path / "keyring.json"
        self.gallery = self.path / "gallery.json"
        self.postgres = self.path / "postgres"
        """The data folder of Postgres, or a symbolic link to it."""
        self._record = self.path / "processes.json"

    @property
    def is_ours(self) -> bool:
        """Whether `make run` has ever used this folder."""
        return self._record.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it for the duration of the block."""
        self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        with (self.path / "run.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(
                    f"another `make run` is using {self.path}; end it with `make stop`, or choose another DATA_DIR"
                ) from None
            yield

    def place_postgres(self) -> None:
        """Make `postgres` a symbolic link to a folder elsewhere if Postgres can't use one in here.

        That is so if we are root and the data directory, or a parent, is closed to nobody, as whom Postgres then runs.
        """
        if not os.path.lexists(self.postgres) and postgres.closed_folders(self.path):
            parent = next(folder for folder in STATE_FOLDERS if folder.is_dir())
            self.postgres.symlink_to(postgres.new_folder(parent) / "postgres")

    def record(self, running: Mapping[str, psutil.Process]) -> None:
        """Save the running processes, so that `make stop` ends exactly these."""
        text = json.dumps({name: (process.pid, process.create_time()) for name, process in running.items()})
        temporary = self._record.with_suffix(".new")
        temporary.write_text(text + "\n")
        temporary.replace(self._record)

    def running(self) -> dict[str, psutil.Process]:
        """Return the recorded processes that still run: RUNNER, and the services by name."""
        try:
            record: dict[str, tuple[int, float]] = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        found = {name: processes.find(pid, started) for name, (pid, started) in record.items()}
        return {name: process for name, process in found.items() if process is not None}

    def end_all(self) -> list[str]:
        """End the current runner and whatever a killed one left behind; return the names of what was ended."""
        alive = self.running()
        runner = alive.pop(RUNNER, None)
        ended = [*alive, *(["Postgres"] if postgres.running(self.postgres) else [])]
        try:
            if runner is not None and runner.pid != os.getpid():
                ended.append(RUNNER)
                processes.end([runner], signal.SIGTERM, seconds=RUNNER_SECONDS)  # it stops everything in order
            processes.end(list(alive.values()), signal.SIGTERM, seconds=service_process.STOP_SECONDS)
            postgres.stop_running(self.postgres)
        except psutil.AccessDenied:
            raise Failure(f"the processes that use {self.path} belong to another user") from None
        return ended

    def must_be_running(self) -> None:
        """Raise Failure if there is no runner."""
        if RUNNER not in self.running():
            raise Failure(f"nothing is running on {self.path}; start it with `make run`, or set DATA_DIR")

    def ask(self, request: str) -> None:
        """Send STOP_AUTH or START_AUTH to the runner, and return once it has dealt with it.

        A request is an empty file, which the runner deletes when it is done.
        """
        self.must_be_running()
        file = self._request(request)
        file.touch()
        try:
            while file.exists():
                if RUNNER not in self.running():
                    raise Failure("the run has ended in the meantime; see its terminal for the reason")
                time.sleep(_POLL_SECONDS)
        finally:
            file.unlink(missing_ok=True)

    def requests(self) -> list[str]:
        """Return the requests that the runner has not dealt with."""
        return [request for request in (STOP_AUTH, START_AUTH) if self._request(request).exists()]

    def answer(self, request: str) -> None:
        """Mark a request as dealt with."""
        self._request(request).unlink(missing_ok=True)

    def erase(self) -> None:
        """Delete what `make run` made, but no other files."""
        if self.postgres.is_symlink():
            outside = self.postgres.readlink().parent
            if outside.name.startswith(postgres.FOLDER_PREFIX) and outside.exists():
                shutil.rmtree(outside)
            self.postgres.unlink()
        for path in (path for pattern in _MADE for path in self.path.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        with suppress(OSError):  # it has other files
            self.path.rmdir()

    def _request(self, request: str) -> Path:
        return self.path / f"{request}.request"
