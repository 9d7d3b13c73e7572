"""Schemathesis: both services do what their OpenAPI documents say, whatever is sent."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.api_client import auth_app, posts_app, served
from tests.postgres import Server

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
EXAMPLES = 10
"""Budget of requests for each operation and phase; the fixed cases of the coverage phase come on top."""

PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")


async def attack(base: str, environment: dict[str, str], folder: Path, seed: str) -> tuple[int | None, str]:
    """Run Schemathesis against a service, and return its exit status and output."""
    # fmt: off
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
               "run", f"{base}/openapi.json", "--checks", "all", "--phases", ",".join(PHASES).lower(),
               "--max-examples", str(EXAMPLES), "--seed", seed]
    # fmt: on
    folder.mkdir()
    run = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,  # where it saves its findings
        env={**os.environ, **environment, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await run.communicate()
    return run.returncode, output.decode()


async def test_nothing_is_found(
    database_server: Server, keyring_file: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """With all of its checks and phases, Schemathesis finds no fault in either service."""
    auth_database, posts_database = await database_server.create_database(), await database_server.create_database()
    async with (
        served(auth_app(auth_database, keyring_file)) as auth,
        served(posts_app(posts_database, keyring_file)) as posts,
    ):
        environment = {"AUTH_URL": auth, "AUTH_DATABASE": auth_database}
        seed = str(pytestconfig.getoption("hypothesis_seed"))
        for status, output in await asyncio.gather(
            attack(auth, {**environment, "ACCEPTS": "account_token"}, tmp_path / "auth", seed),
            attack(posts, {**environment, "ACCEPTS": "access_token"}, tmp_path / "posts", seed),
        ):
            assert status == 0, output
            assert all(f"✅  {phase}" in output for phase in PHASES), output
    await database_server.drop_database(auth_database)
    await database_server.drop_database(posts_database)
