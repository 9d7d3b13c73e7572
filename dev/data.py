"""The data directory: what is in it, who runs on it, and how it is taken away again."""

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

from dev import Failure, pair, postgres, processes

RUNNER_SECONDS = 60.0
"""How long a runner is given to stop its services and Postgres in order."""

RUNNER = "runner"

STOP_AUTH, START_AUTH = "stop-auth", "start-auth"
"""What a runner can be asked for. Each is an empty file, so that there is nothing to be read half-written."""

_LOOK_SECONDS = 0.05


class DataDirectory:
    """What `make run` keeps between two runs, and the record of the processes of the present one."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.keyring = self.path / "keyring.json"
        self.gallery = self.path / "gallery.json"
        self.postgres = self.path / "postgres"
        self._lock = self.path / "run.lock"
        self._record = self.path / "processes.json"  # also the sign that the folder is one of ours

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder if need be, and keep every other runner out of it.

        Raises:
            Failure: it can't be written, or another runner has it.
        """
        try:
            # the server, which can't be root, has to pass through
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            lock = self._lock.open("w")
        except OSError as error:
            raise self._unwritable(error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(
                    f"another `make run` has {self.path}; `make stop` ends it, or give DATA_DIR another folder"
                ) from None
            yield

    def record(self, running: Mapping[str, psutil.Process]) -> None:
        """Write down who runs, so that `make stop` finds exactly them.

        Raises:
            Failure: the folder can't be written.
        """
        temporary = self._record.with_suffix(".new")
        try:
            text = json.dumps({name: processes.identity(process) for name, process in running.items()})
            temporary.write_text(text + "\n")
            temporary.replace(self._record)
        except OSError as error:
            raise self._unwritable(error) from None

    def end_all(self) -> list[str]:
        """End the runner that has this folder, and what an earlier one left; return their names.

        Raises:
            Failure: they belong to another user.
        """
        alive = self._recorded()
        runner = alive.pop(RUNNER, None)
        try:
            ended = list(alive)
            if runner is not None and runner.pid != os.getpid():
                # its services and its Postgres are stopped by itself, in order
                ended = [*ended, *(["Postgres"] if postgres.running(self.postgres) else []), RUNNER]
                processes.end([runner], signal.SIGTERM, seconds=RUNNER_SECONDS)
            processes.end(list(alive.values()), signal.SIGTERM, seconds=pair.STOP_SECONDS)
            if postgres.stop_running(self.postgres) and "Postgres" not in ended:
                ended.append("Postgres")
        except psutil.AccessDenied:
            raise Failure(f"what runs on {self.path} belongs to another user") from None
        return ended

    def runs(self, name: str) -> bool:
        """Whether this part of a run is alive: RUNNER, or a service by its name."""
        return name in self._recorded()

    def ask(self, request: str) -> None:
        """Have the runner that has this folder do something, and return once it has, or has said why not.

        Args:
            request: STOP_AUTH or START_AUTH.

        Raises:
            Failure: there is no runner, or it ended before it was done, or it belongs to another user.
        """
        if not self.runs(RUNNER):
            raise Failure(f"nothing runs on {self.path}; `make run` starts it, and DATA_DIR names another folder")
        file = self._request(request)
        try:
            file.touch()
            while file.exists():
                if not self.runs(RUNNER):
                    raise Failure("the run has ended meanwhile; its own terminal says why")
                time.sleep(_LOOK_SECONDS)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            with suppress(OSError):  # nobody takes it any more
                file.unlink()

    def asked(self) -> list[str]:
        """What the runner was asked for and has not done yet."""
        return [request for request in (STOP_AUTH, START_AUTH) if self._request(request).is_file()]

    def answer(self, request: str) -> None:
        """Let whoever asked know that it is done."""
        self._request(request).unlink(missing_ok=True)

    @property
    def is_ours(self) -> bool:
        """Whether `make run` ever used this folder."""
        return self._record.exists()

    def erase(self) -> None:
        """Delete what `make run` made here, and nothing else.

        Raises:
            Failure: something can't be deleted.
        """
        try:
            for folder in (self.postgres, self.postgres.with_name("postgres.new")):
                if folder.exists():
                    shutil.rmtree(folder)
            # the record goes last: as long as it is there, a second try is possible
            for pattern in (
                "keyring.json",
                ".keyring.json.*.new",
                "gallery.json",
                "gallery.new",
                "postgres.log",
                "*-auth.request",
                "run.lock",
                "processes.new",
                "processes.json",
            ):
                for file in self.path.glob(pattern):
                    file.unlink()
        except OSError as error:
            raise Failure(f"{error.filename} can't be deleted: {error.strerror}") from None
        with suppress(OSError):  # other people's files are in it
            self.path.rmdir()

    def _request(self, request: str) -> Path:
        return self.path / f"{request}.request"

    def _recorded(self) -> dict[str, psutil.Process]:
        try:
            record: dict[str, tuple[int, float]] = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        found = {name: processes.find((pid, started)) for name, (pid, started) in record.items()}
        return {name: process for name, process in found.items() if process is not None}

    def _unwritable(self, error: OSError) -> Failure:
        return Failure(f"the data directory {self.path} can't be written: {error.strerror}; give DATA_DIR another one")
