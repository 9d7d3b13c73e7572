"""python -m benchmarks.logins: how 64 concurrent log-ins slow down other requests, and how well they use the cores.

Starts an auth service as a process, with its own Postgres and bcrypt at cost 12. Alternates between two measurements:
the rate of bare bcrypt on all cores while the service is idle, and the rate of log-ins with each client in a different
network. During the log-ins, it sends GET /me and GET /health/live at a steady rate over one connection. The clients,
the database and the service share the machine, so the log-ins can't use all of the CPU time.
"""

import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_network
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import bcrypt
from passlib.hash import bcrypt_sha256

from dev import service_process
from dev.postgres import temporary
from dev.service_process import Service

COST = 12
CLIENTS = 64
ROUNDS = 3
LOAD_SECONDS = 8.0
BARE_SECONDS = 4.0
PROBES_A_SECOND = 20.0
"""Requests per second for each path."""

PATHS = ("/me", "/health/live")
PASSWORD = "a long enough passphrase"  # noqa: S105  used only in this benchmark
CORES = os.cpu_count() or 1

Probes = dict[str, list[float]]
"""The response times in seconds, by path."""


def main() -> None:
    """Run the benchmark on a new service and database."""
    with auth_on_new_database() as (service, database_url):
        asyncio.run(add_users(database_url))
        measure(service)


@contextmanager
def auth_on_new_database() -> Iterator[tuple[Service, str]]:
    """Run an auth service with bcrypt at cost 12, behind one proxy; yields it and the URL of its database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as log,
        temporary(durable=True) as postgres,
    ):
        keyring = Path(folder) / "keyring.json"
        service_process.new_keyrings(keyring)
        service = service_process.start(
            "auth",
            port=service_process.free_port(),
            database_url=postgres.url(),
            keyring=keyring,
            more={"TRUSTED_PROXIES": "1", "BCRYPT_COST": str(COST)},
            log=log,
        )
        try:
            service_process.wait_until_ready([service])
            yield service, postgres.url()
        finally:
            service_process.stop([service])


def measure(service: Service) -> None:
    """Measure log-ins and bare bcrypt in turn, and print the figures."""
    token = log_in(service)
    idle = probe(service, token, BARE_SECONDS)
    bare, logins = [bare_rate()], []
    busy: Probes = {path: [] for path in PATHS}
    for _ in range(ROUNDS):
        rate, probes = under_logins(service, token)
        logins.append(rate)
        bare.append(bare_rate())
        for path in PATHS:
            busy[path] += probes[path]

    # compare each round with bare bcrypt just before and after it, because other programs may come and go
    reached = [rate / statistics.mean(bare[turn : turn + 2]) for turn, rate in enumerate(logins)]
    print(f"bare bcrypt, {CORES} threads: {listed(bare)} a second")
    print(f"log-ins, {CLIENTS} at a time: {listed(logins)} a second")
    print(f"log-ins / bare bcrypt: {listed(reached)}, median {statistics.median(reached):.2f}; aim: at least 0.90")
    for path in PATHS:
        print(f"GET {path}, idle: {spread(idle[path])}")
        print(f"GET {path}, under {CLIENTS} log-ins: {spread(busy[path])}; aim: p99 under 50 ms")


def under_logins(service: Service, token: str) -> tuple[float, Probes]:
    """Log-ins per second, and the response times of other requests meanwhile. The clients run in their own process."""
    spawn: Any = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    clients = spawn.Process(target=send_logins, args=(service.url, theirs), daemon=True)
    clients.start()
    theirs.close()  # so that `ours` ends if the clients fail
    ours.recv()  # the clients have started
    probes = probe(service, token, LOAD_SECONDS)
    rate: float = ours.recv()
    clients.join()
    return rate, probes


def send_logins(url: str, report: Connection) -> None:
    """Run the clients, and report when they have started and, at the end, the log-ins per second."""
    asyncio.run(_send_logins(url, report))


async def _send_logins(url: str, report: Connection) -> None:
    done: list[float] = []
    addresses = map(str, ip_network("10.0.0.0/8").hosts())  # one network may not sign in so often
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client(number: int) -> None:
            body = json.dumps({"email": email_of(number), "password": PASSWORD}).encode()
            while True:
                headers = {"Content-Type": "application/json", "X-Forwarded-For": next(addresses)}
                async with session.post(f"{url}/login", data=body, headers=headers) as response:
                    if response.status != http.HTTPStatus.OK:
                        raise RuntimeError(await response.text())
                    done.append(time.monotonic())

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        report.send(None)
        failed, going = await asyncio.wait(clients, timeout=LOAD_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
        for task in going:
            task.cancel()
        await asyncio.wait(clients)
    for task in failed:
        task.result()
    report.send(rate_of(done))


def bare_rate() -> float:
    """Hashes per second of bcrypt with one thread per core."""
    salt, end = bcrypt.gensalt(COST), time.monotonic() + BARE_SECONDS

    def work(_: int) -> list[float]:
        done = []
        while time.monotonic() < end:
            bcrypt.hashpw(PASSWORD.encode(), salt)
            done.append(time.monotonic())
        return done

    with ThreadPoolExecutor(CORES) as threads:
        return rate_of(sorted(moment for done in threads.map(work, range(CORES)) for moment in done))


def rate_of(done: Sequence[float]) -> float:
    """Completions per second, from about when every thread has completed its first."""
    return (len(done) - CORES) / (done[-1] - done[CORES - 1])


def probe(service: Service, token: str, seconds: float) -> Probes:
    """Send requests at a steady rate. If a late response delays the next request, the delay counts for that one too."""
    connection = http.client.HTTPConnection(service_process.HOST, service.port, timeout=30)
    found: Probes = {path: [] for path in PATHS}
    pause = 1 / PROBES_A_SECOND / len(PATHS)
    begin = ended = time.perf_counter()
    for number in range(int(seconds / pause)):
        due, path = begin + number * pause, PATHS[number % len(PATHS)]
        if ended < due:
            time.sleep(max(0.0, due - time.perf_counter()))
            due = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        ended = time.perf_counter()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"GET {path}: {response.status}")
        found[path].append(ended - due)
    connection.close()
    return found


def log_in(service: Service) -> str:
    """Log in the first user, and return the access token."""
    connection = http.client.HTTPConnection(service_process.HOST, service.port, timeout=30)
    body = json.dumps({"email": email_of(0), "password": PASSWORD})
    connection.request("POST", "/login", body, {"Content-Type": "application/json"})
    token: str = json.loads(connection.getresponse().read())["access_token"]
    connection.close()
    return token


async def add_users(database_url: str) -> None:
    """Insert an account for each client."""
    scheme: Any = bcrypt_sha256
    password_hash = scheme.using(rounds=COST).hash(PASSWORD)
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO users (id, email, email_key, name, password_hash) VALUES ($1, $2, $2, 'Ada', $3)",
        [(uuid4(), email_of(number), password_hash) for number in range(CLIENTS)],
    )
    await connection.close()


def email_of(number: int) -> str:
    """The email address of a client's account."""
    return f"user{number}@example.com"


def listed(figures: Sequence[float]) -> str:
    """Format the figures of all rounds."""
    return " ".join(f"{figure:.2f}" for figure in figures)


def spread(seconds: Sequence[float]) -> str:
    """Format the median and the 99th percentile of response times."""
    ordered = sorted(seconds)
    half, most = (ordered[len(ordered) * percent // 100] * 1000 for percent in (50, 99))
    return f"p50 {half:.1f} ms, p99 {most:.1f} ms of {len(ordered)}"


if __name__ == "__main__":
    main()
