"""A service that is told to stop finishes what it has begun."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession

from dev import service_process
from dev.service_process import Service
from tests.faults.load import read_answer

pytestmark = pytest.mark.slow


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """A key file."""
    service_process.new_keyrings(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


Start = Callable[..., Service]


@pytest.fixture
def start(database_url: str, keyring: Path) -> Start:
    """Start auth with these settings, and wait until it is ready."""

    def begin(**settings: str) -> Service:
        service = service_process.start(
            "auth", port=service_process.free_port(), database_url=database_url, keyring=keyring, more=settings
        )
        service_process.wait_until_ready([service])
        return service

    return begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_in_progress_is_answered(database_url: str, keyring: Path, number: signal.Signals) -> None:
    """A log-in whose password is being checked when the signal comes is answered, and the service exits with 0."""
    service = service_process.start(
        "auth",
        port=service_process.free_port(),
        database_url=database_url,
        keyring=keyring,
        more={"BCRYPT_COST": "13"},  # takes about half a second
    )
    await asyncio.to_thread(service_process.wait_until_ready, [service])
    body = {"email": "ada@example.com", "password": "a long enough passphrase"}
    async with ClientSession() as http:
        asking = asyncio.create_task(http.post(f"{service.url}/login", json=body))
        await asyncio.sleep(0.2)
        service.process.send_signal(number)
        reply = await asking
        assert (reply.status, (await reply.json())["code"]) == (401, "credentials_invalid")
    assert await asyncio.to_thread(service.process.wait, 15) == 0


async def test_a_signal_before_it_is_ready_ends_it(keyring: Path) -> None:
    """A service that still waits for its database stops at once, with 0."""
    service = service_process.start(
        "posts", port=service_process.free_port(), database_url="postgresql://u@127.0.0.1:9/x", keyring=keyring
    )
    await asyncio.sleep(2)
    service.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.process.wait, 10) == 0


async def test_a_body_that_is_still_arriving_is_answered(start: Start) -> None:
    """A request whose head has arrived before the signal is answered, even if its body comes later."""
    service = await asyncio.to_thread(start, BCRYPT_COST="4")
    body = b'{"email": "ada@example.com", "password": "a long enough passphrase"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    _, idle = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    writer.write(body[:20])
    await asyncio.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(1.5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(body[20:])
    status, headers, _ = await asyncio.wait_for(read_answer(reader), 5)
    assert (status, headers["connection"]) == (401, "close")
    assert await asyncio.to_thread(service.process.wait, 5) == 0
    writer.close()
    idle.close()


async def test_an_idle_connection_does_not_delay_the_end(start: Start) -> None:
    """Kept connections without a request are closed at once; one that never sent anything delays by a second."""
    service = await asyncio.to_thread(start)
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    _, silent = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await read_answer(reader))[0] == 200
    service.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert await asyncio.to_thread(service.process.wait, 5) == 0
    writer.close()
    silent.close()


async def test_a_lame_duck_answers_but_is_not_ready(start: Start) -> None:
    """For LAME_DUCK_SECONDS, readiness is 503, all else works, also on new connections, and answers end theirs."""
    service = await asyncio.to_thread(start, LAME_DUCK_SECONDS="3")
    ask = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(ask % b"health/live")
    status, headers, _ = await read_answer(reader)
    assert (status, headers.get("connection")) == (200, None)
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    writer.write(ask % b"health/live" + ask % b"openapi.json")
    status, headers, _ = await read_answer(reader)
    assert (status, headers.get("connection")) == (200, None), "another request of this connection has arrived"
    status, headers, _ = await read_answer(reader)
    assert (status, headers["connection"]) == (200, "close")
    assert await reader.read() == b""
    async with ClientSession() as http, http.get(f"{service.url}/health/ready") as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "stopping")
        assert (answer.headers["Connection"], answer.headers["Retry-After"]) == ("close", "1")
    assert await asyncio.to_thread(service.process.wait, 10) == 0
    writer.close()


async def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    """The second SIGTERM ends the wait for a load balancer; the exit status is 0."""
    service = await asyncio.to_thread(start, LAME_DUCK_SECONDS="60")
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    assert service.process.poll() is None
    service.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.process.wait, 5) == 0
