"""A network between the services and their database that loses packets, some of them or all."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.faults.report import Report
from tests.faults.stand import Stand, client, needs, program, sign_up
from tests.faults.traffic import Traffic

BLACK_HOLE_SECONDS = 20.0
"""Longer than a service waits: 10 s for a statement, and 5 s for its cancellation."""

LOSS_SECONDS = 10.0
CLIENTS = 10

# a network for tests (RFC 2544): services (.1) - (.2) router (.5) - (.6) database
DATABASE = "198.18.0.6"

PROXY = f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen database
    bind {DATABASE}:5432
    server postgres unix@{{socket}}
"""


@pytest.mark.slow
async def test_a_black_hole_before_the_database(stand: Stand, report: Report) -> None:
    """For 20 s, no packet reaches the database, and none is refused. Clients get 503 in time; then all works soon."""
    async with _network(stand) as network, client() as http:
        auth = await stand.start("auth", url=network.url("auth"))
        posts = await stand.start("posts", url=network.url("posts"))
        tokens = [(await sign_up(http, auth.url))["access_token"] for _ in range(CLIENTS)]
        traffic = Traffic(http, posts.url)
        async with traffic.running(writers=tokens, readers=tokens):
            await asyncio.sleep(1)
            network.lose(1.0)
            await asyncio.sleep(BLACK_HOLE_SECONDS)
            network.lose(0.0)
            back = await traffic.seconds_until_all_write(tokens[0])
        started = time.monotonic()
        await sign_up(http, auth.url)
        back_at_auth = time.monotonic() - started
        report.at_most(5, "until all writes worked", back, "s")
        report.at_most(5, "until a log-in worked", back_at_auth, "s")
        report.at_most(16, "slowest answer", max(traffic.slowest_write, traffic.slowest_read), "s")
        await traffic.judge(report, stand.postgres.url("posts"))


@pytest.mark.slow
async def test_five_percent_of_packets_are_lost(stand: Stand, report: Report) -> None:
    """One packet in twenty between services and database is lost, in each direction. All requests are served."""
    async with _network(stand) as network, client() as http:
        auth = await stand.start("auth", url=network.url("auth"))
        posts = await stand.start("posts", url=network.url("posts"))
        network.lose(0.05)
        tokens = [(await sign_up(http, auth.url))["access_token"] for _ in range(CLIENTS)]
        traffic = Traffic(http, posts.url)
        async with traffic.running(writers=tokens, readers=tokens):
            await asyncio.sleep(LOSS_SECONDS)
        report.at_least(1, "packets lost", network.lost())
        await traffic.judge(report, stand.postgres.url("posts"), reads_go_on=True)
        report.at_most(0, "writes not served", traffic.writes.total() - traffic.writes[201])
        report.at_most(10, "slowest answer", max(traffic.slowest_write, traffic.slowest_read), "s")


@dataclass(frozen=True)
class _Network:
    """The way to a database, through a router.

    Args:
        router: The network namespace of the router.
    """

    router: str

    def url(self, name: str) -> str:
        """The URL of a service's database."""
        return f"postgresql://{name}@{DATABASE}/{name}"

    def lose(self, part: float) -> None:
        """Drop this part of all packets, in both directions: 0 for none, 1 for all."""
        _in(self.router, "iptables", "-F", "FORWARD")
        if part:
            which = ["-m", "statistic", "--mode", "random", "--probability", str(part)] if part < 1 else []
            _in(self.router, "iptables", "-A", "FORWARD", *which, "-j", "DROP")

    def lost(self) -> int:
        """How many packets have been dropped since the last call of `lose`."""
        rules = _in(self.router, "iptables", "-nvxL", "FORWARD").splitlines()
        return sum(int(rule.split()[0]) for rule in rules if "DROP" in rule)


@asynccontextmanager
async def _network(stand: Stand) -> AsyncIterator[_Network]:
    """Make Postgres reachable through a router in network namespaces of its own."""
    needs("ip", "iptables", "haproxy", root=True)
    router, database = (f"{name}-{os.getpid()}" for name in ("router", "database"))
    folder = parse_qs(urlsplit(stand.postgres.url()).query)["host"][0]
    settings = stand.folder / "proxy.cfg"
    settings.write_text(PROXY.format(socket=f"{folder}/.s.PGSQL.5432"))
    try:
        for command in (
            f"ip netns add {router}",
            f"ip netns add {database}",
            f"ip link add faults0 type veth peer name near netns {router}",
            f"ip -n {router} link add far type veth peer name eth0 netns {database}",
            "ip address add 198.18.0.1/30 dev faults0",
            f"ip -n {router} address add 198.18.0.2/30 dev near",
            f"ip -n {router} address add 198.18.0.5/30 dev far",
            f"ip -n {database} address add {DATABASE}/30 dev eth0",
            "ip link set faults0 up",
            f"ip -n {router} link set near up",
            f"ip -n {router} link set far up",
            f"ip -n {database} link set eth0 up",
            f"ip -n {database} route add default via 198.18.0.5",
            "ip route add 198.18.0.4/30 via 198.18.0.2",
            f"ip netns exec {router} sysctl -q net.ipv4.ip_forward=1",
        ):
            _run(*command.split())
        with (stand.folder / "proxy.log").open("wb") as log:
            # fmt: off
            proxy = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", database, program("haproxy") or "", "-db", "-f", str(settings),
                stdout=log, stderr=log,
            )
            # fmt: on
        try:
            yield _Network(router)
        finally:
            for service in list(stand.services):
                await stand.stop(service)
            proxy.terminate()
            await proxy.wait()
    finally:
        for name in (router, database):
            with suppress(AssertionError):  # it was not added
                _run("ip", "netns", "delete", name)


def _in(namespace: str, *command: str) -> str:
    return _run("ip", "netns", "exec", namespace, *command)


def _run(*command: str) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
