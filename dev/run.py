"""python -m dev run | stop | reset: what `make run`, `make stop` and `make reset` do in the virtual environment."""

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

try:
    import psutil
except ModuleNotFoundError:
    sys.exit("the virtual environment is not complete; `make run` completes it")

from auth_service import keys
from dev import Failure, demo, pair, processes
from dev.data import RUNNER, DataDirectory
from dev.postgres import Postgres
from shared.errors import StartupError

NAMES = ("auth", "posts")


@dataclass(frozen=True)
class Settings:
    """What AUTH_PORT, POSTS_PORT and DATA_DIR say."""

    ports: Mapping[str, int]
    data_dir: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables; one that is empty counts as not set.

        Raises:
            Failure: a port is none.
        """
        ports = {"auth": _port(environ, "AUTH_PORT", 8001), "posts": _port(environ, "POSTS_PORT", 8002)}
        if ports["auth"] == ports["posts"]:
            raise Failure(f"AUTH_PORT and POSTS_PORT are both {ports['auth']}; give one of them another port")
        return cls(ports, data_dir(environ))


class Stop(Exception):
    """Someone wants the run to end: Ctrl-C, SIGTERM, or a terminal that was closed."""


class Watch:
    """What has to go on while the runner waits: it looks whether it is to stop, and whether everyone still lives."""

    def __init__(self) -> None:
        self.postgres: Postgres | None = None
        self.services: list[pair.Service] = []
        self._stop = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _: int, __: FrameType | None) -> None:
        # a handler that raises would do so anywhere, between starting a process and knowing of it too
        self._stop = True

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stop: someone wants the run to end.
            Failure: a process that was started is gone.
        """
        if not self._stop:
            time.sleep(seconds)
        if self._stop:
            raise Stop
        for service in self.services:
            pair.fail_if_ended(service)
        if self.postgres is not None and self.postgres.process is not None:
            status = self.postgres.process.poll()
            if status is not None:
                raise Failure(f"Postgres {processes.how_it_ended(status)}; its log: {self.postgres.log}")


def main() -> None:
    """Run the command that the command line names."""
    commands = {"run": run, "stop": stop, "reset": reset}
    parser = argparse.ArgumentParser(prog="python -m dev", description="Both services on this machine.")
    parser.add_argument("command", choices=commands)
    command = parser.parse_args().command
    try:
        commands[command]()
    except Failure as failure:
        say_and_exit(f"make {command}: {failure}")


def run() -> None:
    """Start everything, say how to use it, and serve until told to stop.

    Raises:
        Failure: it can't be started, or something of it died; nothing is left running.
    """
    settings = Settings.from_environ(os.environ)
    directory = DataDirectory(settings.data_dir)
    watch = Watch()
    started = time.perf_counter()
    with directory.held():
        if left := directory.end_all():
            say(f"      an earlier run was killed and left {', '.join(left)}; ended")
        for name in NAMES:
            _check_port(name, settings.ports[name])
        directory.record({RUNNER: psutil.Process()})
        try:
            with ExitStack() as stack:
                database = _start_postgres(directory, watch, stack)
                _make_key(directory)
                _start_services(settings, directory, database, watch, stack)
                _say_how_to_use(directory, watch, time.perf_counter() - started)
                while True:
                    watch.pause(0.2)
        except Stop:
            say(f"everything is stopped; the data stays in {directory.path}")
        finally:
            directory.record({})


def stop() -> None:
    """End what runs on the data directory, from whichever terminal and in whatever state.

    Raises:
        Failure: it belongs to another user.
    """
    directory = DataDirectory(data_dir(os.environ))
    ended = directory.end_all()
    say(f"ended: {', '.join(ended)}" if ended else f"nothing runs on {directory.path}")


def reset() -> None:
    """Stop, then delete the data and the key.

    Raises:
        Failure: a run has just begun, or something can't be deleted.
    """
    directory = DataDirectory(data_dir(os.environ))
    if not directory.is_ours:
        say(f"there is nothing in {directory.path} that `make run` made")
        return
    stop()
    with directory.held():
        directory.erase()
    say(f"deleted what `make run` made in {directory.path}: the databases and the key file")


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where the data is to be: DATA_DIR, or .data beside the code."""
    return Path(environ.get("DATA_DIR") or pair.ROOT / ".data")


def say(text: str) -> None:
    """Print a line at once. A terminal that is gone must not keep us from stopping what we started."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the end


def say_and_exit(text: str) -> NoReturn:
    """One line on standard error, and exit status 1."""
    sys.exit(text)


def _start_postgres(directory: DataDirectory, watch: Watch, stack: ExitStack) -> Postgres:
    started = time.perf_counter()
    database = Postgres(directory.postgres)
    if not database.is_made:
        say(f"[1/3] Postgres {database.version}: making {database.data} (the first time only)")
        database.make()
        watch.pause(0)
        say("      made; starting, on a socket and no port")
    else:
        say(f"[1/3] Postgres {database.version}: starting, on a socket and no port")
    stack.callback(database.stop)
    database.start(watch.pause)
    watch.postgres = database
    database.create_databases(NAMES)
    say(f"      ready after {time.perf_counter() - started:.1f} s: databases {' and '.join(NAMES)}")
    return database


def _make_key(directory: DataDirectory) -> None:
    if directory.keyring.exists():
        say(f"[2/3] key file: {directory.keyring}, as before")
        return
    try:
        say(f"[2/3] key file: {directory.keyring}, a new key {keys.new(directory.keyring)}")
    except StartupError as error:
        raise Failure(f"no key file could be made: {error}") from None


def _start_services(
    settings: Settings, directory: DataDirectory, database: Postgres, watch: Watch, stack: ExitStack
) -> None:
    started = time.perf_counter()
    say("[3/3] services: starting both as processes of their own; they migrate their databases, then serve")
    stack.callback(_stop_services, watch)
    for name in NAMES:
        url = database.url(name, user=name)
        service = pair.start(name, port=settings.ports[name], database_url=url, keyring=directory.keyring)
        watch.services.append(service)
        directory.record({RUNNER: psutil.Process(), **{each.name: each.process for each in watch.services}})
    pair.wait_until_ready(watch.services, watch.pause)
    say(f"      both ready after {time.perf_counter() - started:.1f} s")


def _stop_services(watch: Watch) -> None:
    say("stopping: services, then Postgres")
    pair.stop(watch.services)


def _say_how_to_use(directory: DataDirectory, watch: Watch, seconds: float) -> None:
    auth, posts = watch.services
    curls = "\n".join(demo.lines(auth.url, posts.url))
    say(f"""
auth   {auth.url}
posts  {posts.url}

up after {seconds:.1f} s. Data and key: {directory.path}
Ctrl-C ends everything; `make stop` does so from elsewhere; `make reset` deletes the data.

Paste into another terminal to register, log in, create a post and list the posts
(the second time the first line answers 409: the account is there already):

{curls}
""")


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535:  # noqa: PLR2004
        return int(text)
    raise Failure(
        f"{variable} is {text!r}, which is no port (1 to 65535); say make run {variable}={default}, or unset it"
    )


def _check_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            probe.bind((pair.HOST, port))
        except OSError as error:
            raise Failure(
                f"the {name} service can't have port {port} ({error.strerror}); make run {name.upper()}_PORT=… takes"
                " another one, and `make stop` ends an earlier run"
            ) from None


if __name__ == "__main__":
    main()
