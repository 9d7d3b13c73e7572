"""python -m benchmarks.logins: what 64 concurrent log-ins do to other requests, and what they make of the cores.

Starts an auth service, as a process, on a Postgres of its own, with bcrypt at cost 12. In turns it measures what bare
bcrypt reaches on all cores while the service has nothing to do, and how many log-ins a second the service answers, each
from a network of its own. Meanwhile it asks for GET /me and GET /health/live at a steady rate, over one
connection. Clients, database and service share the machine: what they take is missing from the log-ins.
"""

import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""Of each kind."""

PATHS = ("/me", "/health/live")
PASSWORD = "a long enough passphrase"  # noqa: S105  of the measurement alone
CORES = os.cpu_count() or 1

Probes = dict[str, list[float]]
"""Seconds of every answer, by path."""


def main() -> None:
    """Measure and print."""
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
            asyncio.run(add_users(postgres.url()))
            measure(service)
        finally:
            service_process.stop([service])


def measure(service: Service) -> None:
    """Measure in turns, and print."""
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

    # each round against what was possible just before and just after it: other programs may come and go
    reached = [rate / statistics.mean(bare[turn : turn + 2]) for turn, rate in enumerate(logins)]
    print(f"bare bcrypt, {CORES} threads: {listed(bare)} a second")
    print(f"log-ins, {CLIENTS} at a time: {listed(logins)} a second")
    print(f"log-ins, of bare bcrypt: {listed(reached)}, median {statistics.median(reached):.2f}; aim: at least 0.90")
    for path in PATHS:
        print(f"GET {path}, nothing else to do: {spread(idle[path])}")
        print(f"GET {path}, under {CLIENTS} log-ins: {spread(busy[path])}; aim: p99 under 50 ms")


def under_logins(service: Service, token: str) -> tuple[float, Probes]:
    """Log-ins a second, and what others see meanwhile. The clients are a process of their own."""
    spawn: Any = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    clients = spawn.Process(target=send_logins, args=(service.url, theirs), daemon=True)
    clients.start()
    theirs.close()  # so that `ours` ends if they fail
    ours.recv()  # they have begun
    probes = probe(service, token, LOAD_SECONDS)
    rate: float = ours.recv()
    clients.join()
    return rate, probes


def send_logins(url: str, report: Connection) -> None:
    """Be the clients; report once they begin, and at the end how many log-ins a second were answered."""
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
    """Hashes a second that bcrypt reaches with a thread for each core."""
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
    """How many a second came to their end, from when each thread may have done its first."""
    return (len(done) - CORES) / (done[-1] - done[CORES - 1])


def probe(service: Service, token: str, seconds: float) -> Probes:
    """Ask at a steady rate. Where an answer is so late that the next request has to wait, its waiting counts too."""
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
    """The token of somebody."""
    connection = http.client.HTTPConnection(service_process.HOST, service.port, timeout=30)
    body = json.dumps({"email": email_of(0), "password": PASSWORD})
    connection.request("POST", "/login", body, {"Content-Type": "application/json"})
    token: str = json.loads(connection.getresponse().read())["access_token"]
    connection.close()
    return token


async def add_users(database_url: str) -> None:
    """Write the accounts into the table."""
    scheme: Any = bcrypt_sha256
    password_hash = scheme.using(rounds=COST).hash(PASSWORD)
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO users (id, email, email_key, name, password_hash) VALUES ($1, $2, $2, 'Ada', $3)",
        [(uuid4(), email_of(number), password_hash) for number in range(CLIENTS)],
    )
    await connection.close()


def email_of(number: int) -> str:
    """The address of a client's account."""
    return f"user{number}@example.com"


def listed(figures: Sequence[float]) -> str:
    """The figures of all rounds."""
    return " ".join(f"{figure:.2f}" for figure in figures)


def spread(seconds: Sequence[float]) -> str:
    """The middle and the end of many answers."""
    ordered = sorted(seconds)
    half, most = (ordered[len(ordered) * percent // 100] * 1000 for percent in (50, 99))
    return f"p50 {half:.1f} ms, p99 {most:.1f} ms of {len(ordered)}"


if __name__ == "__main__":
    main()
