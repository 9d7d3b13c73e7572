"""The document's verifiers for other stacks, wrapped so that tests can pass them tokens."""

import asyncio
import json
import os
import runpy
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import jwt
import pytest

from tests.docs.blocks import DOCS

LOCKED = DOCS / "examples" / "node"
ASK = Path(__file__).with_name("ask.mjs")
OLDEST_NODE = 20
NPM_SECONDS = 60
ANSWER_SECONDS = 10


class Stack(Protocol):
    """Verifies tokens for the audience `notes`."""

    async def claims(self, token: str) -> dict[str, Any] | None:
        """Return the token's claims, or None if it is refused. Any other failure is raised."""


class PyJwt:
    """verify.py, loaded into the test process."""

    def __init__(self, folder: Path, keyring: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JWT_KEYRING_FILE", str(keyring))
            self._verify: Callable[[str], dict[str, Any]] = runpy.run_path(str(folder / "verify.py"))["verify"]

    async def claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims, or None; see `Stack`."""
        try:
            return self._verify(token)
        except jwt.InvalidTokenError:
            return None


class Node:
    """verify.mjs in its own process, which reads one token per line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims, or None; see `Stack`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(token).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS)
        assert line, "verify.mjs ended instead of refusing the token"
        answer: dict[str, Any] = json.loads(line)
        assert answer.keys() in ({"claims"}, {"refused"})
        return answer.get("claims")


@asynccontextmanager
async def node(folder: Path, keyring: Path) -> AsyncIterator[Node]:
    """Start verify.mjs, with its library installed beside it from the lock file."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCKED / name, folder)
    shutil.copy(ASK, folder)
    installed = await asyncio.to_thread(
        subprocess.run,
        ["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=NPM_SECONDS,
    )
    assert installed.returncode == 0, installed.stderr
    process = await asyncio.create_subprocess_exec(
        "node",
        ASK.name,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "JWT_KEYRING_FILE": str(keyring)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Node(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        status = await asyncio.wait_for(process.wait(), ANSWER_SECONDS)
    assert status == 0


def at_hand() -> list[object]:
    """The stacks to test, as parameters: PyJWT, and Node if it is installed. In CI, Node is required."""
    node = [pytest.param("Node", marks=pytest.mark.slow)] if "CI" in os.environ or _node_is_there() else []
    return ["PyJWT", *node]


def _node_is_there() -> bool:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return int(version.removeprefix("v").split(".")[0] or 0) >= OLDEST_NODE
