"""The drill: replicas under load, and an operator who replaces the key as documented."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from aiohttp import ClientError, ClientSession

from dev import Failure, service_process
from tests.system.rotation.clients import Client
from tests.system.rotation.figures import Figures

NAMES = ("auth", "posts")
REPLICAS = 2
"""Processes of each service."""

CLIENTS = 8

SETTINGS = {"ACCESS_TOKEN_SECONDS": "7", "JWT_LEEWAY": "1", "BCRYPT_COST": "4", "DATABASE_CONNECTIONS": "4"}
"""For the replicas and the operator's commands. With longer-lived tokens, the drill would take longer; with
shorter-lived ones, none would still be valid if the old key were retired too early."""

LOAD_SECONDS = 1.5
"""Duration of the load before the first change and after the last."""

TIMEOUT_SECONDS = 90.0
"""Three times what the operator needs."""

RETRY_SECONDS = 0.2

Say = Callable[[str], object]


class Refused(Failure):
    """A command of the operator was refused; the message is what it printed."""


class Drill:
    """Everything that the operator needs: the replicas, their key file, and the figures so far.

    Args:
        file: The key file.
        replicas: Base URLs of an auth service and a posts service each.
        say: Called with a line for each event.
    """

    def __init__(self, file: Path, replicas: list[tuple[str, str]], say: Say) -> None:
        self.file = file
        self.figures = Figures()
        self.clients = [Client(number, replicas, self.figures) for number in range(CLIENTS)]
        self.urls = [url for replica in replicas for url in replica]
        self.ready = [word for url in self.urls for word in ("--ready", url)]
        """Arguments of `keys promote` that name the replicas."""
        self._say = say
        self._began = time.monotonic()

    async def run(self, operator: "Operator") -> Figures:
        """Keep up the load until the operator is done.

        Raises:
            Failure: the operator can't go on.
        """
        self.begin("before", f"{CLIENTS} clients log in, read and write, at all replicas in turn")
        running = [asyncio.create_task(client.run()) for client in self.clients]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await operator(self)
        except TimeoutError:
            failures = self.figures.whole.failures
            first = f", first {failures[0]}" if failures else ""
            raise Failure(
                f"step [{self.figures.step.name}] timed out; {len(failures)} requests failed{first}"
            ) from None
        finally:
            for client in self.clients:
                client.is_done = True  # not cancelled: that would look like a failed request
            await asyncio.gather(*running)
            self.figures.end()
        return self.figures

    def begin(self, name: str, text: str) -> None:
        """Begin the next step and announce it."""
        self.figures.begin(name)
        self.say(f"[{name}] {text}")

    def say(self, text: str) -> None:
        """Report an event, with the seconds since the beginning."""
        self._say(f"{time.monotonic() - self._began:5.1f} s  {text}")

    async def must_be_refused(self, because: str, command: str, *arguments: str) -> str:
        """Run a `keys` command that has to be refused, and return what it prints.

        Raises:
            Failure: it was not refused, or its reason does not contain `because`.
        """
        try:
            printed = await keys(command, self.file, *arguments)
        except Refused as refused:
            printed = str(refused)
            if because in printed:
                self.figures.refused[command] += 1
                self.say(f"  `keys {command}` is refused: {printed.partition(';')[0]}")
                return printed
        raise Failure(f"`keys {command}` should be refused with {because!r}, but printed: {printed}")

    async def until_done(self, command: str, *arguments: str) -> None:
        """Repeat a `keys` command until it is no longer refused."""
        while True:
            try:
                return self.say(f"  {await keys(command, self.file, *arguments)}")
            except Refused as refused:
                self.figures.refused[command] += 1
                self.say(f"  not yet: {str(refused).partition(';')[0]}")
                await asyncio.sleep(RETRY_SECONDS)

    async def until_all(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the readiness of every replica is as wanted. A replica that is not ready counts as a failure.

        Raises:
            Failure: a replica does not answer.
        """
        began = time.monotonic()
        async with ClientSession() as http:

            async def is_as_wanted(url: str) -> bool:
                async with http.get(f"{url}/health/ready") as response:
                    if response.status != 200:
                        step = self.figures.step
                        step.failures.append(f"[{step.name}] GET /health/ready: {response.status}")
                    return response.status == 200 and wanted(await response.json())

            try:
                while not all(await asyncio.gather(*map(is_as_wanted, self.urls))):
                    await asyncio.sleep(RETRY_SECONDS)
            except ClientError as error:
                raise Failure(f"a replica does not answer: {error}") from None
        self.figures.step.noticed = time.monotonic() - began
        self.say(f"  all {len(self.urls)} replicas noticed within {self.figures.step.noticed:.1f} s")


Operator = Callable[[Drill], Awaitable[None]]


async def drill(
    databases: tuple[str, str], folder: Path, operator: Operator, say: Say, log: IO[bytes] | None = None
) -> Figures:
    """Start the replicas with a new key, let the operator work under load, and stop them.

    Args:
        databases: URLs of two empty databases, for auth and for posts.
        folder: An empty folder, for the key file.
        operator: What to do to the key under load.
        say: Called with a line for each event.
        log: Where the replicas' log goes; by default, standard error.

    Raises:
        Failure: a replica does not start, or the operator can't go on.
    """
    file = folder / "keyring.json"
    service_process.new_keyrings(file)
    services: list[service_process.Service] = []
    with ExitStack() as stack:
        stack.callback(service_process.stop, services)
        for name, database in [*zip(NAMES, databases, strict=True)] * REPLICAS:
            port = service_process.free_port()
            services.append(
                service_process.start(name, port=port, database_url=database, keyring=file, more=SETTINGS, log=log)
            )
        service_process.wait_until_ready(services)
        urls = [service.url for service in services]
        return await Drill(file, list(zip(urls[::2], urls[1::2], strict=True)), say).run(operator)


async def rotate(drill: Drill) -> None:
    """Replace the key; each step ends once all replicas have noticed the change."""
    old = (await keys("list", drill.file)).split()[0]
    await asyncio.sleep(LOAD_SECONDS)
    drill.say(f"  the only key is {old}; a key that was never added can't be promoted, not even with --force:")
    await drill.must_be_refused("does not list", "promote", "never-added", *drill.ready)
    await drill.must_be_refused("has no key", "promote", "never-added", "--force")

    drill.begin("add", "a second key is added, which verifies but does not sign yet")
    new = (await keys("add", drill.file)).split()[1]
    await drill.until_all(lambda ready: ready["kids"] == [old, new])

    drill.begin("broken file", "the key file is overwritten with half a file; the replicas keep their keys")
    good = drill.file.with_suffix(".good")
    shutil.copy2(drill.file, good)
    drill.file.write_text('{"keys": [')  # in place, as by a full disk or a careless editor
    await drill.until_all(lambda ready: ready["keyring"] == "stale" and ready["kids"] == [old, new])
    await drill.must_be_refused("does not report its keyring as ok", "promote", new, *drill.ready)

    drill.begin("promote", "the good file is restored; the new key is promoted as soon as all replicas have read it")
    good.replace(drill.file)
    await drill.until_done("promote", new, *drill.ready)
    await drill.until_all(lambda ready: ready["keyring"] == "ok" and ready["kids"] == [new, old])

    drill.begin("wait", "tokens signed with the old key are still valid, so it can't be retired yet")
    printed = await drill.must_be_refused("may be valid", "retire", old)
    await asyncio.sleep(int(re.findall(r"\d+(?= s;)", printed)[0]))
    await drill.until_done("retire", old)

    drill.begin("retire", "the old key is removed from the file; the clients go on with the new one")
    await drill.until_all(lambda ready: ready["kids"] == [new])
    await asyncio.sleep(LOAD_SECONDS)
    if any(client.kid != new for client in drill.clients):
        raise Failure(f"a client still uses a token signed with {old}")


async def keys(command: str, file: Path, *arguments: str) -> str:
    """Run `python -m auth_service keys COMMAND FILE …` and return what it prints.

    Raises:
        Refused: it ends with status 1 and a reason.
        Failure: it ends in any other way.
    """
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "auth_service", "keys", command, str(file), *arguments],
        cwd=service_process.ROOT,
        env={**service_process.environment(), **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    if result.returncode == 1:
        raise Refused(result.stderr.strip().removeprefix("auth_service: "))
    if result.returncode != 0:
        raise Failure(f"`keys {command} {' '.join(arguments)}` failed: {result.stderr.strip()}")
    return result.stdout.strip()
