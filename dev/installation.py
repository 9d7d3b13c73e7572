"""The virtual environment: made once, then brought up to a lock file whenever the lock file's content has changed.

Standard library only. What was interrupted half-way is made anew at the next call.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dev import Failure

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
"""What is in it: of each lock file the SHA-256, and the place and the Python that it was made for."""

UNFINISHED = VENV / ".unfinished"
"""There while something is being installed; found at a start, it tells of a set-up that was killed."""

TESTED = ((3, 11), (3, 13))
CONTAINS = {"dev": ("dev",), "test": ("test", "dev")}
"""requirements/test.txt has everything that dev.txt has, in the same versions."""

DOCS = "docs"
"""The lock file that goes with each; it wants nothing besides itself."""


def main() -> None:
    """Bring the virtual environment up to the lock file that the command line names."""
    parser = argparse.ArgumentParser(prog="dev/environment.py", description="Make or refresh .venv.")
    parser.add_argument("lock", choices=sorted(CONTAINS), help="which file of requirements/ it has to satisfy")
    parser.add_argument("--exactly", action="store_true", help="with this Python, even if another one's is there")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end pip too
    try:
        with _one_at_a_time():
            refresh(arguments.lock, exactly=arguments.exactly)
    except Failure as failure:
        sys.exit(f"virtual environment: {failure}")
    except KeyboardInterrupt:
        sys.exit("virtual environment: interrupted; the next call finishes it")


def refresh(lock: str, *, exactly: bool = False) -> None:
    """Make .venv satisfy requirements/<lock>.txt; silent and quick when it does already.

    Args:
        lock: Name of the lock file, without its ending.
        exactly: Whether an environment of another Python version is made anew.

    Raises:
        Failure: it can't be made, or the packages can't be had.
    """
    wanted = _hash(lock)
    inside = _version_inside()
    stamp = _stamp(inside)
    if inside is None or UNFINISHED.exists() or (exactly and inside != _version()) or _is_too_old(inside):
        stamp = {}
        _make()
        inside = _version_inside() or ""
    elif stamp.get(lock) == wanted:
        return
    _install(lock)
    fresh = {name: _hash(name) for name in CONTAINS[lock]}
    _write_stamp({**stamp, **fresh, "python": inside, "place": str(VENV)})


def _file(lock: str) -> Path:
    return ROOT / "requirements" / f"{lock}.txt"


def _hash(lock: str) -> str:
    return hashlib.sha256(_file(lock).read_bytes() + _file(DOCS).read_bytes()).hexdigest()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """`make run` in one terminal and `make test` in another must not install into each other."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _stamp(inside: str | None) -> dict[str, str]:
    """What is known to be installed. Nothing, where it was made by hand, or for another place or Python."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
        return stamp if (stamp["place"], stamp["python"]) == (str(VENV), inside) else {}
    except (OSError, ValueError, KeyError):
        return {}


def _write_stamp(stamp: dict[str, str]) -> None:
    temporary = STAMP.with_suffix(".new")
    temporary.write_text(json.dumps(stamp, indent=2) + "\n")
    temporary.replace(STAMP)


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _version_inside() -> str | None:
    """The Python version inside, or None where that Python does not run or has no pip."""
    code = "import sys, importlib.util as u; u.find_spec('pip') or sys.exit(1); print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _is_too_old(version: str) -> bool:
    return tuple(int(part) for part in version.split(".")) < TESTED[0]


def _make() -> None:
    _say(f"making .venv with Python {_version()} ({sys.executable})")
    if sys.version_info[:2] > TESTED[1]:
        _say(f"Python {_version()} is newer than what is tested (3.11 to 3.13); going on")
    try:
        if VENV.is_symlink() or VENV.is_file():
            raise Failure(f"{VENV} is not a folder; remove it")
        if VENV.exists():
            shutil.rmtree(VENV)
        VENV.mkdir()
        UNFINISHED.touch()
    except OSError as error:
        raise Failure(f"{VENV} can't be written: {error.strerror}") from None
    # a Python inside the folder that was just removed can still run, but would make links to itself
    python = getattr(sys, "_base_executable", sys.executable) or sys.executable
    answer = subprocess.run([python, "-I", "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        print(answer.stdout + answer.stderr, file=sys.stderr)
        raise Failure("this Python can't make one; on Debian and Ubuntu: apt install python3-venv")


def _install(lock: str) -> None:
    files = (_file(lock), _file(DOCS))
    packages = sum(len(re.findall(r"^[a-z0-9].*==", file.read_text(), re.MULTILINE)) for file in files)
    _say(f"installing {packages} packages from requirements/{lock}.txt (about half a minute the first time)")
    UNFINISHED.touch()
    started = time.perf_counter()
    # the lock files name every package, and one that docs.in leaves out on purpose must not come in
    # fmt: off
    command = [str(PYTHON), "-I", "-m", "pip", "install", "--require-hashes", "--no-deps",
               "--disable-pip-version-check", "--no-input", "--progress-bar=off",
               *(part for file in files for part in ("-r", str(file)))]
    # fmt: on
    with subprocess.Popen(
        command,
        env={**os.environ, "PIP_USER": "0"},  # some have `user = true` in pip.conf, which can't be here
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        try:
            last = _progress(pip, packages)
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode != 0:
        UNFINISHED.unlink()  # pip ended by itself, and undoes what it can't finish
        print("\n".join(last), file=sys.stderr)
        raise Failure("pip could not install the packages (its last lines are above); mend that and try again")
    UNFINISHED.unlink()
    _say(f"ready after {time.perf_counter() - started:.0f} s")


def _progress(pip: subprocess.Popen[str], packages: int) -> deque[str]:
    """Count the packages on one line of the terminal; return pip's last lines."""
    assert pip.stdout is not None
    last: deque[str] = deque(maxlen=8)
    terminal = sys.stdout.isatty()
    count = 0
    for line in pip.stdout:
        last.append(line.rstrip())
        if terminal and (found := re.match(r"Collecting (\S+)", line)):
            count += 1
            print(f"\r\033[K  {count}/{packages} {found[1]}", end="", flush=True)
        elif terminal and line.startswith("Installing"):
            print("\r\033[K  unpacking", end="", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)
    return last


def _say(text: str) -> None:
    print(f"virtual environment: {text}", flush=True)
