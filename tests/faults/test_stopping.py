"""Services are stopped and started while clients call them."""

import asyncio
import signal
import time

import pytest

from dev.service_process import Service
from posts_service.settings import Settings
from tests.faults.load import Clients, balanced
from tests.faults.report import Report
from tests.faults.stand import Stand, client, sign_up

CLIENTS = 40
RESTARTS = 10
LAME_DUCK_SECONDS = Settings.model_fields["lame_duck_seconds"].default

CHECK_SECONDS = 1.5
"""How long the load balancer takes to notice that a replica is ready again."""


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("way", ["through HAProxy", "directly"])
async def test_a_rolling_restart_fails_no_request(stand: Stand, report: Report, way: str) -> None:
    """Two replicas of posts are restarted in turn, ten times in all, while 40 clients read. No request fails."""
    report.scenario += f", {way}"
    auth = await stand.start("auth")
    replicas = [await stand.start("posts", lame_duck_seconds=LAME_DUCK_SECONDS) for _ in range(2)]
    async with client() as http:
        token = (await sign_up(http, auth.url))["access_token"]
    head = f"GET /posts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    ports = [replica.port for replica in replicas]
    statuses = []
    async with balanced(stand.folder, ports) as proxy:
        clients = Clients([proxy] if way == "through HAProxy" else ports, head, pause=0.02)
        async with clients.running(CLIENTS):
            for number in range(RESTARTS):
                old = replicas[number % 2]
                statuses.append(await stand.stop(old))
                replicas[number % 2] = await stand.start("posts", port=old.port, lame_duck_seconds=LAME_DUCK_SECONDS)
                await asyncio.sleep(CHECK_SECONDS)
    report.at_least(2000, "answered", sum(clients.answers.values()), "requests")
    report.at_most(0, "failed", clients.failed)
    report.at_most(0, "exit statuses other than 0", sum(status != 0 for status in statuses))
    report.note("refused before a request was sent", clients.refused, "connections")
    for failure, count in clients.failures.items():
        report.note(failure, count)


async def test_a_second_signal_ends_it_at_once(stand: Stand, report: Report) -> None:
    """The second SIGTERM ends a service in the middle of requests, with exit status 0 and no traceback."""
    posts = await stand.start("posts", lame_duck_seconds=30)
    _, writer = await _begin_post(posts)
    posts.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(1)
    assert posts.process.poll() is None
    started = time.monotonic()
    status = await stand.stop(posts)
    report.at_most(2, "from the second signal to the exit", time.monotonic() - started, "s")
    report.at_most(0, "exit status", abs(status))
    report.at_most(0, "tracebacks in the log", stand.log_of("posts", posts.port).read_text().count("Traceback"))
    writer.close()


async def _begin_post(posts: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send all of a request but its body's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", posts.port)
    writer.write(b"POST /posts HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
    await asyncio.sleep(0.2)
    return reader, writer
