"""Run a document's commands in one shell, against a pair of services started for it.

These are the only differences from what the document shows:

- http://127.0.0.1:8001 and :8002 are the addresses of this pair, in the commands and back again in what they print.
- `.data` and `.venv` are in the folder that the shell is in; the first holds both key files of this pair, the second
  is the virtual environment that the tests run in.
- `make stop-auth` and `make start-auth`, each in a fence of its own, end and start this pair's auth process. What make
  really does is tested in tests/dev.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote

from auth_service import keys
from dev import service_process
from dev.service_process import account_keyring, new_keyrings
from tests.docs.blocks import ROOT, Fence, Untrue

ADDRESSES = {"auth": "http://127.0.0.1:8001", "posts": "http://127.0.0.1:8002"}


class Machine:
    """Both services as processes, and a shell.

    Args:
        folder: An empty folder, in which the shell runs.
        databases: The URL of an empty database for each service, by name.
    """

    def __init__(self, folder: Path, databases: Mapping[str, str]) -> None:
        self._folder = folder
        self._databases = databases
        (folder / ".data").mkdir()
        (folder / ".venv").symlink_to(sys.prefix)
        self._keyring = folder / ".data" / "keyring.json"
        shared = new_keyrings(self._keyring)
        self.kids = (shared, *keys.read(account_keyring(self._keyring)).kids)
        self._ports = {name: service_process.free_port() for name in ADDRESSES}
        self._services: dict[str, service_process.Service] = {}

    @contextmanager
    def running(self) -> Iterator["Machine"]:
        """Run the services and the shell for the duration of the block."""
        with ExitStack() as stack, (self._folder / "services.log").open("wb") as log:
            self._log = log
            stack.callback(lambda: service_process.stop(list(self._services.values())))
            self._start(*ADDRESSES)
            self._shell = subprocess.Popen(
                ["sh", "-e"],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(self._shell)
            yield self

    def run(self, commands: Fence) -> str:
        """Run a block's commands and return their output, stdout and stderr together.

        Raises:
            Untrue: a command fails.
        """
        match commands.text:
            case "make stop-auth\n":
                service_process.stop([self._services.pop("auth")])
                return ""
            case "make start-auth\n":
                self._start("auth")
                return ""
        printed = self._folder / "printed.txt"
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"eval {quote(self._here(commands.text))} > printed.txt 2>&1 < /dev/null; echo done\n")
        self._shell.stdin.flush()
        done = self._shell.stdout.readline()
        text = self._there(printed.read_text(encoding="utf-8"))
        if done != "done\n":
            raise Untrue(f"line {commands.line}: a command failed, after this was printed:\n{text}")
        return text

    def _start(self, *names: str) -> None:
        for name in names:
            self._services[name] = service_process.start(
                name,
                port=self._ports[name],
                database_url=self._databases[name],
                keyring=self._keyring,
                more={"BCRYPT_COST": "4"} if name == "auth" else None,
                log=self._log,
            )
        service_process.wait_until_ready(list(self._services.values()))

    def _here(self, text: str) -> str:
        for name, address in ADDRESSES.items():
            text = text.replace(address, f"http://{service_process.HOST}:{self._ports[name]}")
        return text

    def _there(self, text: str) -> str:
        for name, address in ADDRESSES.items():
            text = text.replace(f"http://{service_process.HOST}:{self._ports[name]}", address)
        return text
