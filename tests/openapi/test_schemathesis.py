"""Both services do what their OpenAPI documents say, whatever is sent."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.pair import auth_app, posts_app, served
from tests.postgres import Server

HERE = Path(__file__).parent
EXAMPLES = 10
"""Most requests of a phase for each operation: the budget."""


@pytest.mark.parametrize("service", ["auth", "posts"])
async def test_nothing_is_found(
    service: str, database_server: Server, keyring_file: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Schemathesis finds nothing with all of its checks, in sequences of requests neither, within its budget."""
    databases = [await database_server.create_database() for _ in range(2)]
    async with (
        served(auth_app(databases[0], keyring_file)) as auth,
        served(posts_app(databases[1], keyring_file)) as posts,
    ):
        base = {"auth": auth, "posts": posts}[service]
        # fmt: off
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
                   "run", f"{base}/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful",
                   "--max-examples", str(EXAMPLES), "--seed", str(pytestconfig.getoption("hypothesis_seed"))]
        # fmt: on
        run = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={
                **os.environ,
                "AUTH_URL": auth,
                "AUTH_DATABASE": databases[0],
                "SCHEMATHESIS_HOOKS": "hooks",
                "PYTHONPATH": str(HERE),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await run.communicate())[0].decode()
        assert run.returncode == 0, output
        assert "Examples" in output
        assert "Coverage" in output
        assert "Fuzzing" in output
        assert "Stateful" in output
    for database in databases:
        await database_server.drop_database(database)
