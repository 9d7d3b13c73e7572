"""One `make run`: Postgres, both services and the console, from their start until someone wants them to end."""

import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from auth_service import keys
from dev import Failure, demo, gallery, pair, processes
from dev.data import RUNNER, START_AUTH, DataDirectory
from dev.postgres import Postgres
from dev.settings import CONSOLE, DEFAULT_DATA_DIR, NAMES, Settings, variable
from shared.errors import StartupError


class Stop(Exception):
    """Someone wants the run to end: Ctrl-C, SIGTERM, or a terminal that was closed."""


class Run:
    """What was started so far. While it waits, it looks whether it is to stop, and whether everyone still lives."""

    def __init__(self, settings: Settings, directory: DataDirectory) -> None:
        self.settings = settings
        self.directory = directory
        self.postgres: Postgres | None = None
        self.services: dict[str, pair.Service] = {}
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
        for service in self.services.values():
            pair.fail_if_ended(service)
        if self.postgres is not None and self.postgres.process is not None:
            status = self.postgres.process.poll()
            if status is not None:
                raise Failure(f"Postgres {processes.how_it_ended(status)}; its log: {self.postgres.log}")

    def start(self) -> None:
        """Start everything; on return it can be used.

        Raises:
            Stop: as `pause`.
            Failure: as `pause`, or something does not become ready.
        """
        self._start_postgres()
        self._make_key()
        started = time.perf_counter()
        say("[3/3] services: starting auth, posts and the console, each as a process of its own")
        for name in NAMES:
            self._start_service(name)
        self._add(
            pair.start_console(
                port=self.settings.ports[CONSOLE],
                auth_url=self.services["auth"].url,
                posts_url=self.services["posts"].url,
                gallery=self.directory.gallery,
            )
        )
        pair.wait_until_ready(list(self.services.values()), self.pause)
        say(f"      all ready after {time.perf_counter() - started:.1f} s")

    def record(self) -> None:
        """Write down who runs at this moment.

        Raises:
            Failure: the data directory can't be written.
        """
        running = {service.name: service.process for service in self.services.values()}
        self.directory.record({RUNNER: psutil.Process(), **running})

    def serve(self) -> NoReturn:
        """Go on, and do what is asked for, until it has to end.

        Raises:
            Stop: as `pause`.
            Failure: as `pause`, or auth does not become ready when it is started again.
        """
        while True:
            self.pause(0.2)
            for request in self.directory.asked():
                if request == START_AUTH:
                    self._start_auth()
                else:
                    self._stop_auth()
                self.directory.answer(request)

    def stop(self) -> None:
        """Stop everything, in order."""
        if self.services:
            say("stopping: services, then Postgres")
            pair.stop(list(self.services.values()))
        if self.postgres is not None:
            self.postgres.stop()

    def _start_postgres(self) -> None:
        started = time.perf_counter()
        database = Postgres(self.directory.postgres)
        if not database.is_made:
            say(f"[1/3] Postgres {database.version}: making {database.data} (the first time only)")
            database.make()
            self.pause(0)
            say("      made; starting, on a socket and no port")
        else:
            say(f"[1/3] Postgres {database.version}: starting, on a socket and no port")
        database.start(self.pause)
        self.postgres = database
        database.create_databases(NAMES)
        say(f"      ready after {time.perf_counter() - started:.1f} s: databases {' and '.join(NAMES)}")

    def _make_key(self) -> None:
        file = self.directory.keyring
        try:
            new = None if file.exists() else keys.new(file)
        except StartupError as error:
            raise Failure(f"no key file could be made: {error}") from None
        say(f"[2/3] key file: {file}, {'as before' if new is None else f'a new key {new}'}")
        # anew each time: the key that signs may have become another one since
        count = gallery.write(file, self.directory.gallery, time.time())
        say(f"      signed {count} tokens with it that have to be refused, for the console to show")

    def _start_service(self, name: str) -> pair.Service:
        assert self.postgres is not None
        service = pair.start(
            name,
            port=self.settings.ports[name],
            database_url=self.postgres.url(name, user=name),
            keyring=self.directory.keyring,
            more={"CORS_ORIGINS": self.settings.cors_origins},
        )
        self._add(service)
        return service

    def _add(self, service: pair.Service) -> None:
        self.services[service.name] = service
        self.record()

    def _stop_auth(self) -> None:
        auth = self.services.get("auth")
        if auth is None:
            return
        say("auth: stopping, because `make stop-auth` asks for it")
        pair.stop([auth])
        del self.services["auth"]  # from here on it is not missed
        self.record()
        say("auth: stopped; posts goes on without it, and `make start-auth` brings it back")

    def _start_auth(self) -> None:
        if "auth" in self.services:
            return
        say("auth: starting again, because `make start-auth` asks for it")
        try:
            _check_port("auth", self.settings.ports["auth"])
        except Failure as failure:
            say(f"auth: not started: {failure}")
            return
        auth = self._start_service("auth")
        pair.wait_until_ready([auth], self.pause)
        say("auth: ready")


def run() -> None:
    """Start everything, say how to use it, and serve until told to stop.

    Raises:
        Failure: it can't be started, or something of it died; nothing is left running.
    """
    settings = Settings.from_environ(os.environ)
    directory = DataDirectory(settings.data_dir)
    started = time.perf_counter()
    with directory.held():
        current = Run(settings, directory)
        if left := directory.end_all():
            say(f"      an earlier run was killed and left {', '.join(left)}; ended")
        for request in directory.asked():  # of that run
            directory.answer(request)
        for name, port in settings.ports.items():
            _check_port(name, port)
        current.record()
        try:
            try:
                current.start()
                _say_how_to_use(current, time.perf_counter() - started)
                current.serve()
            finally:
                current.stop()
        except Stop:
            say(f"everything is stopped; the data stays in {directory.path}")
        finally:
            directory.record({})


def say(text: str) -> None:
    """Print a line at once. A terminal that is gone must not keep us from stopping what we started."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the end


def _say_how_to_use(current: Run, seconds: float) -> None:
    auth, posts, console = (current.services[name].url for name in (*NAMES, CONSOLE))
    data = current.directory.path
    moved = "" if data == DEFAULT_DATA_DIR else f"\n(each of these commands with DATA_DIR={shlex.quote(str(data))})"
    curls = "\n".join(demo.lines(auth, posts))
    say(f"""
Open this in a browser:  {console}
Sign up there, write a post, then forge your token and watch posts refuse it.

auth   {auth}
posts  {posts}

up after {seconds:.1f} s. Data and key: {data}
Ctrl-C ends everything; `make stop` does so from elsewhere; `make reset` deletes the data.
`make stop-auth` ends auth alone, and posts goes on; `make start-auth` brings it back.{moved}

Without a browser, paste into another terminal to register, log in, create a post and list the posts
(the second time the first line answers 409: the account is there already):

{curls}
""")


def _check_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            probe.bind((pair.HOST, port))
        except OSError as error:
            raise Failure(
                f"the {name} service can't have port {port} ({error.strerror}); make run {variable(name)}=… takes"
                " another one, and `make stop` ends an earlier run"
            ) from None
