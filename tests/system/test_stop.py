"""A service that is told to stop finishes what it has begun."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiohttp import ClientSession

from dev import service_process

pytestmark = pytest.mark.slow


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """A key file."""
    service_process.new_keyrings(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


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
