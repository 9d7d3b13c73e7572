"""A service whose database is not there yet, and commands that need one."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dev import service_process
from dev.service_process import Service
from tests.api_client import PASSWORD

pytestmark = pytest.mark.slow

EXIT_SECONDS = 20
"""Enough for Python to start on a busy machine; a command that waits for ever takes longer."""


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """A key file."""
    service_process.new_keyrings(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


@asynccontextmanager
async def started(name: str, url: str, keyring: Path, log: Path, **more: str) -> AsyncIterator[Service]:
    """A service that has been started, and may not be ready; killed at the end if it still runs."""
    with log.open("wb") as file:
        service = service_process.start(
            name, port=service_process.free_port(), database_url=url, keyring=keyring, more=more, log=file
        )
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait()


async def test_a_database_that_refuses_the_service_ends_it(database_url: str, keyring: Path, tmp_path: Path) -> None:
    """A service whose database doesn't exist ends with status 1, and its last line names the setting."""
    log = tmp_path / "log"
    async with started("posts", database_url.replace("test_", "nowhere_"), keyring, log) as service:
        assert await asyncio.to_thread(service.process.wait, EXIT_SECONDS) == 1
    last = log.read_text().splitlines()[-1]
    assert last.startswith("posts_service: the database refused the connection")
    assert "DATABASE_URL" in last
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("nowhere.invalid", "posts_service migrate"),
        ("127.0.0.1:9", "posts_service migrate"),
        ("127.0.0.1:9", "auth_service migrate --grant-to auth"),
        ("127.0.0.1:9", "auth_service users list"),
        ("127.0.0.1:9", "auth_service users create ada@example.com --name Ada"),
        ("127.0.0.1:9", "auth_service audit"),
        ("127.0.0.1:9", "auth_service audit prune --older-than 60"),
    ],
)
async def test_a_command_does_not_wait_for_ever(host: str, command: str, keyring: Path) -> None:
    """A command whose database can't be reached ends after --wait seconds, with one line that says so."""
    module, *words = command.split()
    environment = {
        **service_process.environment(),
        "DATABASE_URL": f"postgresql://u@{host}/d",
        "JWT_KEYRING_FILE": str(keyring),
        "BCRYPT_COST": "4",
    }
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words, "--wait", "1"),
        env=environment,
        cwd=service_process.ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(EXIT_SECONDS):
            output, errors = await process.communicate(PASSWORD.encode() + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, output) == (1, b"")
    last = errors.decode().splitlines()[-1]
    assert last.startswith(f"{module}: the database can't be reached")
    assert "gave up after 1 s" in last
    assert time.monotonic() - began >= 1
