"""The drill: replicas, load, and an operator who exchanges the key as the manual says."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import IO

from dev import Failure, pair
from dev.rotation.clients import READY, Answer, Client, connections, send
from dev.rotation.figures import Figures

NAMES = ("auth", "posts")
REPLICAS = 2
"""Processes of each service."""

CLIENTS = 8

SETTINGS = {"ACCESS_TOKEN_SECONDS": "7", "JWT_LEEWAY": "1", "BCRYPT_COST": "4", "DATABASE_CONNECTIONS": "4"}
"""Of the replicas and of the operator's commands. With longer-lived tokens the drill would last longer; with
shorter-lived ones, none would be left that suffers when the old key is retired too early."""

LOAD_SECONDS = 1.5
"""How long there is load before the first change and after the last."""

PATIENCE_SECONDS = 90.0
"""Three times what the operator needs."""

RETRY_SECONDS = 0.2

Say = Callable[[str], object]


class Refused(Failure):
    """A command of the operator found that it must not be done; the text is what it said."""


class Drill:
    """What the operator of a drill works with: the running replicas, their key file, and the figures so far.

    Args:
        file: The key file.
        replicas: Those of both services.
        say: Gets one line for each thing that happens.
    """

    def __init__(self, file: Path, replicas: list[pair.Service], say: Say) -> None:
        self.file = file
        self.figures = Figures()
        auth, posts = (cycle([each.url for each in replicas if each.name == name]) for name in NAMES)
        self.clients = [Client(number, auth, posts, self.figures) for number in range(CLIENTS)]
        self.ready = [word for each in replicas for word in ("--ready", each.url)]
        """What `keys promote` is told of the replicas."""
        self._replicas = replicas
        self._say = say
        self._began = time.monotonic()

    async def run(self, operator: "Operator") -> Figures:
        """Let the clients work until the operator is done.

        Raises:
            Failure: the operator can't go on.
        """
        self.begin("before", f"{CLIENTS} clients log in, read and write, at all replicas in turn")
        running = [asyncio.create_task(client.run()) for client in self.clients]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await operator(self)
        except TimeoutError:
            failures = self.figures.whole.failures
            raise Failure(
                f"what the step [{self.figures.step.name}] waits for does not happen; {len(failures)} requests failed"
                + (f", the first one: {failures[0]}" if failures else "")
            ) from None
        finally:
            # each ends what it has begun: a request that is cut off would look like one that failed
            for client in self.clients:
                client.is_done = True
            await asyncio.gather(*running)
            self.figures.end()
        return self.figures

    def begin(self, name: str, text: str) -> None:
        """Begin the next step, and say what it is."""
        self.figures.begin(name)
        self.say(f"[{name}] {text}")

    def say(self, text: str) -> None:
        """Say what happens, with the seconds since the beginning."""
        self._say(f"{time.monotonic() - self._began:5.1f} s  {text}")

    async def must_be_refused(self, because: str, command: str, *arguments: str) -> str:
        """Run a command that has to be refused, and return what it says.

        Raises:
            Failure: it was not refused, or without saying `because`.
        """
        try:
            said = await keys(command, self.file, *arguments)
        except Refused as refused:
            said = str(refused)
            if because in said:
                self.figures.refused[command] += 1
                # the rest says the same of the other replicas, or how to force it
                self.say(f"  `keys {command}` is refused: {said.partition(';')[0]}")
                return said
        raise Failure(f"`keys {command}` had to be refused with {because!r}, but said: {said}")

    async def until_done(self, command: str, *arguments: str) -> None:
        """Run a command again and again until it is not refused any more."""
        while True:
            try:
                self.say(f"  {await keys(command, self.file, *arguments)}")
            except Refused as refused:
                self.figures.refused[command] += 1
                self.say(f"  not yet: {str(refused).partition(';')[0]}")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def until_all(self, wanted: Callable[[Answer], bool]) -> None:
        """Wait until every replica's readiness is as wanted; one that does not say that it is ready counts as failed.

        Raises:
            Failure: a replica has ended.
        """
        began = time.monotonic()
        urls = [f"{replica.url}/health/ready" for replica in self._replicas]
        async with connections() as http:
            while True:
                answers = await asyncio.gather(*(send(http, self.figures, READY, url) for url in urls))
                if all(answer and wanted(answer) for _, answer in answers):
                    break
                for replica in self._replicas:
                    pair.fail_if_ended(replica)
                await asyncio.sleep(RETRY_SECONDS)
        self.figures.step.noticed = time.monotonic() - began
        self.say(f"  all {len(urls)} replicas noticed within {self.figures.step.noticed:.1f} s")


Operator = Callable[[Drill], Awaitable[None]]


async def drill(
    databases: tuple[str, str], folder: Path, operator: Operator, say: Say, log: IO[bytes] | None = None
) -> Figures:
    """Start the replicas with one fresh key, let the operator work under load, and stop them.

    Args:
        databases: URLs of two empty databases, for auth and for posts.
        folder: An empty folder, for the key file.
        operator: What is done meanwhile.
        say: Gets one line for each thing that happens.
        log: Where the replicas' log goes; without it, to standard error.

    Raises:
        Failure: a replica does not start or ends, or the operator can't go on.
    """
    file = folder / "keyring.json"
    await keys("new", file)
    replicas: list[pair.Service] = []
    with ExitStack() as stack:
        stack.callback(pair.stop, replicas)
        for name, database in [*zip(NAMES, databases, strict=True)] * REPLICAS:
            replicas.append(
                pair.start(name, port=pair.free_port(), database_url=database, keyring=file, more=SETTINGS, log=log)
            )
        pair.wait_until_ready(replicas)
        return await Drill(file, replicas, say).run(operator)


async def rotate(drill: Drill) -> None:
    """Exchange the key; each change of the file is over once all replicas go by it."""
    old = (await keys("list", drill.file)).split()[0]
    await asyncio.sleep(LOAD_SECONDS)
    drill.say(f"  the one key is {old}. Another one that was never added can't be promoted, not even by force:")
    await drill.must_be_refused("does not list", "promote", "never-added", *drill.ready)
    await drill.must_be_refused("has no key", "promote", "never-added", "--force")

    drill.begin("add", "a second key, which verifies and does not sign yet")
    new = (await keys("add", drill.file)).removeprefix("added ").partition(";")[0]
    await drill.until_all(lambda ready: ready["kids"] == [old, new])

    drill.begin("broken file", "half a file is written over the key file; the replicas keep the keys that they have")
    good = _break(drill.file)
    await drill.until_all(lambda ready: ready["keyring"] == "stale" and ready["kids"] == [old, new])
    await drill.must_be_refused("is stale", "promote", new, *drill.ready)

    drill.begin("promote", "the good file is put back; the new key signs as soon as all replicas are well")
    good.replace(drill.file)
    await drill.until_done("promote", new, *drill.ready)
    await drill.until_all(lambda ready: ready["keyring"] == "ok" and ready["kids"] == [new, old])

    drill.begin("wait", "tokens that the old key signed are still about, so it can't be retired yet")
    said = await drill.must_be_refused("may live", "retire", old)
    await asyncio.sleep(int(re.findall(r"\d+(?= s;)", said)[0]))
    await drill.until_done("retire", old)

    drill.begin("retire", "the old key is no longer in the file; the clients go on with the new one")
    await drill.until_all(lambda ready: ready["kids"] == [new])
    await asyncio.sleep(LOAD_SECONDS)
    if any(client.kid != new for client in drill.clients):
        raise Failure(f"a client still uses a token that {old} signed")


async def keys(command: str, file: Path, *arguments: str) -> str:
    """Run `python -m auth_service keys COMMAND FILE …` and return what it prints.

    Raises:
        Refused: it ends with status 1 and says why.
        Failure: it ends in any other way.
    """
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "auth_service", "keys", command, str(file), *arguments],
        cwd=pair.ROOT,
        env={**pair.environment(), **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    if result.returncode == 1:
        raise Refused(result.stderr.strip().removeprefix("auth_service: "))
    if result.returncode != 0:
        raise Failure(f"`keys {command} {' '.join(arguments)}` can't be run: {result.stderr.strip()}")
    return result.stdout.strip()


def _break(file: Path) -> Path:
    """Write over the file in place, as a full disk or a careless editor does; return a copy of what was good."""
    good = file.with_suffix(".good")
    shutil.copy2(file, good)
    file.write_text('{"keys": [')
    return good
