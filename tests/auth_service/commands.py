"""The operator's commands, `python -m auth_service …`, run in one process: starting Python for each takes a second.

As a program, this module reads one line of JSON per command and answers with one.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from auth_service import __main__
from dev import service_process as processes

WAIT_SECONDS = 60
MAX_ANSWER = 16 * 1024 * 1024


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    status: int
    output: str
    errors: str

    @property
    def refusal(self) -> str:
        """The one line that a refused command prints."""
        assert self.status == 1, self
        assert self.output == "", self
        [line] = self.errors.splitlines()
        assert line.startswith("auth_service: ")
        return line


class Operator:
    """An operator at a shell on the service's machine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(
        self, database_url: str | None, *words: str | bytes, given: str | bytes = "", **more: str
    ) -> Said:
        """Run one command, with `given` on its standard input and `more` in its environment."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {
            "words": [os.fsdecode(word) for word in words],
            "given": os.fsencode(given).hex(),
            "environ": environment(database_url, **more),
        }
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(WAIT_SECONDS):
            answer = await self._process.stdout.readline()
        return Said(**json.loads(answer))


@asynccontextmanager
async def operating() -> AsyncIterator[Operator]:
    """Provide an operator for the duration of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.auth_service.commands"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=processes.ROOT,
        limit=MAX_ANSWER,
    )
    assert process.stdin is not None
    try:
        yield Operator(process)
    finally:
        process.stdin.close()
        await process.wait()


def environment(database_url: str | None, **more: str) -> dict[str, str]:
    """The environment variables of an operator's shell."""
    database = {} if database_url is None else {"DATABASE_URL": database_url}
    return {**processes.environment(), **database, "BCRYPT_COST": "4", **more}


def run(words: list[str], given: bytes, environ: dict[str, str]) -> dict[str, Any]:
    """Run one command; return its exit status and output."""
    output, errors = io.StringIO(), io.StringIO()
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["auth_service", *words]
    sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    status = 0
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            __main__.main()
        except SystemExit as end:  # as the interpreter does
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=errors)
        except BaseException:  # noqa: BLE001  the interpreter, too, ends with status 1 whatever it was
            status = 1
            traceback.print_exc()
    return {"status": status, "output": output.getvalue(), "errors": errors.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        command = json.loads(line)
        print(json.dumps(run(command["words"], bytes.fromhex(command["given"]), command["environ"])), flush=True)
