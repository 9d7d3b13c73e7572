"""A service that is told to stop finishes what it has begun."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from dev import service_process
from tests.attacks.forge import KEYRING
from tests.posts_service.board import person

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_in_progress_is_answered(database_url: str, tmp_path: Path, number: signal.Signals) -> None:
    """A body that is still arriving when the signal comes is read and answered, and the service exits with 0."""
    keyring = tmp_path / "keyring.json"
    keyring.write_text(KEYRING)
    service = service_process.start(
        "posts", port=service_process.free_port(), database_url=database_url, keyring=keyring
    )
    await asyncio.to_thread(service_process.wait_until_ready, [service])
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    body = json.dumps({"title": "Late", "body": "x" * 1000}).encode()
    head = (
        f"POST /posts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {person(keyring).token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:100])
    await asyncio.sleep(0.5)
    service.process.send_signal(number)
    await asyncio.sleep(1)
    writer.write(body[100:])
    status = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert await asyncio.to_thread(service.process.wait, 15) == 0
    assert status == b"HTTP/1.1 201 Created\r\n"


async def test_a_signal_before_it_is_ready_ends_it(tmp_path: Path) -> None:
    """A service that still waits for its database stops at once, with 0."""
    keyring = tmp_path / "keyring.json"
    keyring.write_text(KEYRING)
    service = service_process.start(
        "posts", port=service_process.free_port(), database_url="postgresql://u@127.0.0.1:9/x", keyring=keyring
    )
    await asyncio.sleep(2)
    service.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.process.wait, 10) == 0
