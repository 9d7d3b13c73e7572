"""The rotation drill: no client notices that the key is replaced, and the drill would tell if one did."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from auth_service import keys
from dev import service_process
from tests.system.rotation.drill import CLIENTS, Drill, drill, rotate

pytestmark = pytest.mark.slow


async def test_the_key_is_replaced_under_load(databases: tuple[str, str], tmp_path: Path) -> None:
    """Through add, a broken file, promote and retire, no request fails and no client has to log in again."""
    figures = await drill(databases, tmp_path, rotate, print)
    print(*figures.lines(), sep="\n")
    whole = figures.whole
    assert (whole.failures, whole.forced) == ([], 0)
    assert figures.is_good

    # there was load all the time, and it moved from the old key to the new one
    steps = {step.name: step for step in figures.steps}
    assert list(steps) == ["before", "add", "broken file", "promote", "wait", "retire"]
    assert {request: count for request, count in whole.requests.items() if count < CLIENTS} == {}
    assert min(step.requests.total() for step in (steps["before"], steps["wait"], steps["retire"])) > CLIENTS
    [old, new] = whole.tokens
    assert keys.read(tmp_path / "keyring.json").kids == [new]
    assert set(steps["before"].tokens) == {old}
    assert set(steps["wait"].tokens) == {new}
    assert old not in steps["retire"].tokens

    # promote: twice for a key that was never added, once while the file was broken; retire: while tokens were valid
    assert figures.refused["promote"] >= 3
    assert figures.refused["retire"] >= 1


async def test_the_drill_notices_an_abrupt_replacement(databases: tuple[str, str], tmp_path: Path) -> None:
    """If a new keyring simply replaces the old one, requests fail, clients must log in, and the drill reports it."""

    async def replace(drill: Drill) -> None:
        await asyncio.sleep(1)
        fresh = tmp_path / "fresh.json"
        kid = keys.new(fresh)
        drill.begin("replace", "a new key replaces the old one")
        fresh.replace(drill.file)
        await drill.until_all(lambda ready: ready["kids"] == [kid])
        while not drill.figures.whole.forced:
            await asyncio.sleep(0.1)

    figures = await drill(databases, tmp_path, replace, print)
    assert any("401 token_key_unknown" in failure for failure in figures.whole.failures)
    assert figures.whole.forced > 0
    assert not figures.is_good
    assert [line for line in figures.lines() if line.startswith("failed ")]


def test_ctrl_c_ends_the_drill_and_everything_it_started(tmp_path: Path) -> None:
    """Interrupted under load, the command says so in one line and leaves neither a process nor a file."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.rotation"],
        cwd=service_process.ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert any("[before]" in line for line in command.stdout)
        started = psutil.Process(command.pid).children(recursive=True)
        command.send_signal(signal.SIGINT)
        _, complaint = command.communicate(timeout=60)
    assert command.returncode == 1
    assert complaint.splitlines()[-1] == "rotation drill: interrupted; everything that it started has been stopped"
    assert len(started) >= 5
    _, alive = psutil.wait_procs(started, timeout=15)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
