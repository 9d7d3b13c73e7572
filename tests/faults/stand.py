"""Real processes to break: a Postgres of one's own, services on it, and clients' accounts."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, TCPConnector

from dev import service_process
from dev.postgres import Postgres, new_folder
from dev.service_process import Service
from tests.api_client import PASSWORD, new_address, new_email

_CHEAP: Mapping[str, Mapping[str, object]] = {
    "auth": {"bcrypt_cost": 4, "trusted_proxies": 1},
    "posts": {"writes_burst": 1_000_000},
}
"""Settings that keep a scenario from measuring bcrypt or its own throttling."""


@contextmanager
def prepared() -> Iterator[Path]:
    """Make the data folder that every stand gets a copy of: initdb takes longer than some scenarios."""
    folder = new_folder(Path(tempfile.gettempdir()))
    try:
        postgres = Postgres(folder / "postgres", durable=False)
        with postgres.started():
            postgres.create_databases(["auth", "posts"])
        yield postgres.data
    finally:
        shutil.rmtree(folder)


class Stand:
    """A Postgres and the services that were started on it.

    Args:
        folder: Where data, keys and logs are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "postgres")
        self.keyring = folder / "keyring.json"
        self.services: list[Service] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, data: Path) -> AsyncIterator["Stand"]:
        """Start Postgres on a copy of a data folder; stop it and all services at the end."""
        folder = new_folder(Path(tempfile.gettempdir()))
        stand = cls(folder)
        service_process.new_keyrings(stand.keyring)
        try:
            await asyncio.to_thread(subprocess.run, ["cp", "-a", str(data), str(stand.postgres.data)], check=True)
            await asyncio.to_thread(stand.postgres.start)
            yield stand
        finally:
            await asyncio.to_thread(stand.close)
            shutil.rmtree(folder)

    def close(self) -> None:
        """End everything that is still running."""
        for service in self.services:
            with_children = [service.process, *_children(service.process)]
            for process in with_children:
                if process.is_running():
                    process.send_signal(signal.SIGCONT)  # a frozen one can't be stopped
        service_process.stop(self.services)
        self.thaw()
        self.postgres.stop()

    async def start(
        self, name: str, *, port: int | None = None, url: str | None = None, ready: bool = True, **settings: object
    ) -> Service:
        """Start `auth` or `posts`, and wait until it is ready.

        Args:
            name: The service.
            port: The port to listen on; a free one by default.
            url: The database, if not the service's own one on this Postgres.
            ready: Whether to wait.
            settings: Variables in lower case. Log-ins cost little and writes are unlimited unless they say otherwise.
        """
        port = port or service_process.free_port()
        with self.log_of(name, port).open("ab") as log:
            service = service_process.start(
                name,
                port=port,
                database_url=url or self.postgres.url(name),
                keyring=self.keyring,
                more={key.upper(): str(value) for key, value in {**_CHEAP[name], **settings}.items()},
                log=log,
            )
        self.services.append(service)
        if ready:
            await asyncio.to_thread(service_process.wait_until_ready, [service])
        return service

    def log_of(self, name: str, port: int) -> Path:
        """The log of a service; restarts on one port share it."""
        return self.folder / f"{name}-{port}.log"

    async def stop(self, service: Service, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status (negative if the signal ended it)."""
        service.process.send_signal(number)
        status: int = await asyncio.to_thread(service.process.wait, service_process.STOP_SECONDS + 10)
        self.services.remove(service)
        return status

    def freeze(self) -> None:
        """Stop every process of Postgres where it is; connections stay open and nothing answers."""
        for process in self.postgres_processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let Postgres go on."""
        for process in self.postgres_processes():
            process.send_signal(signal.SIGCONT)

    def kill_postgres(self) -> None:
        """End Postgres as a power cut would: no shutdown, recovery at the next start."""
        server, everyone = self.postgres.process, self.postgres_processes()
        assert server is not None, "Postgres runs"
        for process in everyone:
            process.kill()
        server.wait()  # before psutil collects its status elsewhere
        psutil.wait_procs(everyone)
        self.postgres.process = None

    def postgres_processes(self) -> list[psutil.Process]:
        """All processes of the running Postgres."""
        server = self.postgres.process
        if server is None or server.poll() is not None:
            return []
        return [psutil.Process(server.pid), *_children(server)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def needs(*programs: str, root: bool = False) -> None:
    """Skip a scenario that can't run on this machine, and say what it needs."""
    if missing := [name for name in programs if program(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}; docs/reliability.md names the packages")
    if root and os.geteuid() != 0:
        pytest.skip("needs root")


def program(name: str) -> str | None:
    """The path of a program, also of those that only root has on the path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def client(connections: int = 0) -> ClientSession:
    """A client that keeps as many connections as it needs (0), or at most so many."""
    return ClientSession(connector=TCPConnector(limit=connections))


async def register(http: ClientSession, auth: str) -> str:
    """Register a new user at a network of its own, and return the address."""
    email, headers = new_email(), {"X-Forwarded-For": new_address()}
    account = {"email": email, "password": PASSWORD, "name": "Ada"}
    async with http.post(f"{auth}/register", json=account, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
    return email


async def sign_up(http: ClientSession, auth: str) -> dict[str, str]:
    """Register a new user, log in at a network of its own, and return the answer of the log-in."""
    email, headers = await register(http, auth), {"X-Forwarded-For": new_address()}
    async with http.post(f"{auth}/login", json={"email": email, "password": PASSWORD}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        tokens: dict[str, str] = await answer.json()
        return tokens


def memory_mib(service: Service) -> float:
    """Resident memory of a service and its children, in MiB."""
    everyone = [service.process, *_children(service.process)]
    return sum(process.memory_info().rss for process in everyone) / 2**20


def open_files(service: Service) -> int:
    """How many files and sockets a service has open."""
    return len(os.listdir(f"/proc/{service.process.pid}/fd"))  # noqa: PTH208
