"""`make run`: start Postgres, both services and the console, and keep them running until told to stop."""

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from auth_service import keys
from dev import Failure, gallery, instructions, processes, service_process, settings
from dev.data_directory import RUNNER, START_AUTH, DataDirectory
from dev.postgres import VERSION, Postgres
from dev.settings import CONSOLE, NAMES


class Stop(Exception):
    """The user wants the run to end, by Ctrl-C, SIGTERM or closing the terminal."""


class Run:
    """The processes of one run."""

    def __init__(self, ports: Mapping[str, int], directory: DataDirectory) -> None:
        self._ports = ports
        self._directory = directory
        self._postgres = Postgres(directory.postgres)
        self._services: dict[str, service_process.Service] = {}
        self._is_to_stop = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _: int, __: FrameType | None) -> None:
        # not raised here: that could happen between starting a process and keeping track of it
        self._is_to_stop = True

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stop: the user wants the run to end.
            Failure: a process has ended.
        """
        if not self._is_to_stop:
            time.sleep(seconds)
        if self._is_to_stop:
            raise Stop
        for service in self._services.values():
            service_process.fail_if_ended(service)
        if self._postgres.process is not None and (status := self._postgres.process.poll()) is not None:
            raise Failure(f"Postgres {processes.how_it_ended(status)}; its log: {self._postgres.log}")

    def start(self) -> dict[str, str]:
        """Start everything, and return the base URLs by name once all of it is ready."""
        self._start_postgres()
        self._make_key_and_gallery()
        started = time.perf_counter()
        say("[3/3] services: starting auth, posts and the console, each as a process of its own")
        for name in NAMES:
            self._start_service(name)
        self._add(
            service_process.start_console(
                port=self._ports[CONSOLE],
                auth_url=self._services["auth"].url,
                posts_url=self._services["posts"].url,
                gallery=self._directory.gallery,
            )
        )
        service_process.wait_until_ready(list(self._services.values()), self.pause)
        say(f"      all ready after {time.perf_counter() - started:.1f} s")
        return {name: service.url for name, service in self._services.items()}

    def serve(self) -> NoReturn:
        """Keep running, and stop or start auth on request."""
        while True:
            self.pause(0.2)
            for request in self._directory.requests():
                if request == START_AUTH:
                    self._start_auth()
                else:
                    self._stop_auth()
                self._directory.answer(request)

    def stop(self) -> None:
        """Stop the services, then Postgres."""
        if self._services:
            say("stopping: services, then Postgres")
            service_process.stop(list(self._services.values()))
        self._postgres.stop()

    def record(self) -> None:
        """Save the running processes in the data directory."""
        running = {name: service.process for name, service in self._services.items()}
        self._directory.record({RUNNER: psutil.Process(), **running})

    def _start_postgres(self) -> None:
        started = time.perf_counter()
        if self._postgres.is_made:
            say(f"[1/3] Postgres {VERSION}: starting, on a socket and no port")
        else:
            say(f"[1/3] Postgres {VERSION}: making {self._directory.postgres} (the first time only)")
            self._postgres.make()
            self.pause(0)
            say("      made; starting, on a socket and no port")
        self._postgres.start(self.pause)
        self._postgres.create_databases(NAMES)
        say(f"      ready after {time.perf_counter() - started:.1f} s: databases {' and '.join(NAMES)}")

    def _make_key_and_gallery(self) -> None:
        file = self._directory.keyring
        for place, (keyring, whose) in enumerate(
            ((file, "of all services"), (service_process.account_keyring(file), "of auth alone"))
        ):
            which = "the existing key" if keyring.exists() else f"a new key {keys.new(keyring)}"
            say(f"{'      ' if place else '[2/3] '}key file {whose}: {keyring}, {which}")
        count = gallery.write(file, self._directory.gallery, time.time())  # each time: the signing key may have changed
        say(f"      signed {count} tokens with the shared key that must be refused, for the console to show")

    def _start_service(self, name: str) -> service_process.Service:
        origins = [f"http://{host}:{self._ports[CONSOLE]}" for host in (service_process.HOST, "localhost")]
        origins += filter(None, [os.environ.get("CORS_ORIGINS")])
        service = service_process.start(
            name,
            port=self._ports[name],
            database_url=self._postgres.url(name),
            keyring=self._directory.keyring,
            more={"CORS_ORIGINS": ",".join(origins)},
        )
        self._add(service)
        return service

    def _add(self, service: service_process.Service) -> None:
        self._services[service.name] = service
        self.record()

    def _stop_auth(self) -> None:
        if auth := self._services.pop("auth", None):
            say("auth: stopping, as requested by `make stop-auth`")
            service_process.stop([auth])
            self.record()
            say("auth: stopped; posts keeps working. `make start-auth` starts auth again")

    def _start_auth(self) -> None:
        if "auth" in self._services:
            return
        say("auth: starting, as requested by `make start-auth`")
        try:
            _check_port("auth", self._ports["auth"])
        except Failure as failure:
            say(f"auth: not started: {failure}")
            return
        service_process.wait_until_ready([self._start_service("auth")], self.pause)
        say("auth: ready")


def run() -> None:
    """Start everything, print how to use it, and serve until told to stop."""
    started = time.perf_counter()
    ports = settings.ports(os.environ)
    directory = DataDirectory(settings.data_dir(os.environ))
    with directory.held():
        if left := directory.end_all():
            say(f"      ended what a killed run left behind: {', '.join(left)}")
        for request in directory.requests():  # to the killed run
            directory.answer(request)
        for name, port in ports.items():
            _check_port(name, port)
        directory.place_postgres()
        current = Run(ports, directory)
        current.record()
        try:
            try:
                urls = current.start()
                say(instructions.text(urls, directory, time.perf_counter() - started))
                current.serve()
            finally:
                current.stop()
                directory.record({})
        except Stop:
            say(f"everything is stopped; the data is kept in {directory.path}")


def say(text: str) -> None:
    """Print at once; a closed terminal must not prevent an orderly stop."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  stays open until the end


def _check_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            probe.bind((service_process.HOST, port))
        except OSError as error:
            raise Failure(
                f"the {name} service can't use port {port}: {error.strerror}. End an earlier run with `make stop`, or"
                f" choose another port: make run {settings.variable(name)}=…"
            ) from None
