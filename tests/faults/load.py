"""Clients that keep connections open, and a load balancer between them and two replicas."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dev import service_process

ANSWER_SECONDS = 20.0

PROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 2
frontend front
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    option httpchk GET /health/ready
    timeout check 2s
    default-server check inter 1s fall 2 rise 1
"""


@dataclass
class Clients:
    """Clients that send GET requests on connections that they keep until an answer says `Connection: close`.

    A client whose connection is refused tries the next port, as no request was sent. All else counts.

    Args:
        ports: Where to connect.
        head: The request.
        pause: Seconds between two requests of a client.
    """

    ports: Sequence[int]
    head: bytes
    pause: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    _done: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self, count: int) -> AsyncIterator[None]:
        """Send requests for the duration of the block."""
        tasks = [asyncio.create_task(self._run(number)) for number in range(count)]
        try:
            yield
        finally:
            self._done.set()
            await asyncio.gather(*tasks)

    @property
    def failed(self) -> int:
        """Requests without an answer, and 5xx."""
        return sum(self.failures.values())

    async def _run(self, number: int) -> None:
        while not self._done.is_set():
            number += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[number % len(self.ports)])
            except ConnectionRefusedError:
                self.refused += 1
                await asyncio.sleep(0.02)
                continue
            except OSError as error:
                self.failures[f"connect: {type(error).__name__}"] += 1
                continue
            try:
                while not self._done.is_set():
                    async with asyncio.timeout(ANSWER_SECONDS):
                        if await self._ask(reader, writer):
                            break
                    await asyncio.sleep(self.pause)
            except (OSError, EOFError, TimeoutError) as error:
                self.failures[type(error).__name__] += 1
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request; return whether the answer was the last one on this connection."""
        writer.write(self.head)
        status, headers, body = await read_answer(reader)
        self.answers[status] += 1
        if status >= 500:
            self.failures[f"{status}: {body[:200]!r}"] += 1
        return headers.get("connection", "").lower() == "close"


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read an answer that has a Content-Length; header names are in lower case."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split(" ")[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def balanced(folder: Path, ports: Sequence[int]) -> AsyncIterator[int]:
    """Run HAProxy in front of these ports, and give its own."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.skip("needs haproxy (apt-get install haproxy)")
    port = service_process.free_port()
    servers = "".join(f"    server replica{number} 127.0.0.1:{number}\n" for number in ports)
    (folder / "haproxy.cfg").write_text(PROXY.format(port=port) + servers)
    with (folder / "haproxy.log").open("wb") as log:
        proxy = await asyncio.create_subprocess_exec(
            program, "-db", "-f", str(folder / "haproxy.cfg"), stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(10):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # until its checks have seen both
        yield port
    finally:
        proxy.terminate()
        await proxy.wait()
