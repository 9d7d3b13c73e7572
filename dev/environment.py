"""python3 dev/environment.py dev | test: create .venv, and keep it up to date with a lock file of requirements/.

Uses the standard library only. Any Python 3 can parse this file, so that an old one gets a clear message.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")

if sys.version_info < (3, 11):
    if "--exactly" not in sys.argv and os.path.exists(PYTHON) and sys.prefix != VENV:
        sys.stdout.flush()
        os.execv(PYTHON, [PYTHON] + sys.argv)
    sys.exit(
        "Python {}.{}.{} ({}) is too old; this project needs 3.11 to 3.13."
        " Choose a newer or older one: make run PYTHON=python3.12".format(*sys.version_info[:3], sys.executable)
    )

import argparse
import fcntl
import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

STAMP = "installed.json"
"""What is installed: the SHA-256 of each lock file, and the path and the Python version of the environment."""

NEWEST_TESTED = (3, 13)
INCLUDES = {"dev": ("dev",), "test": ("test", "dev")}
"""requirements/test.txt has all that dev.txt has, in the same versions."""

DOCS = "docs"
"""The lock file that is installed with each of them."""


def main() -> None:
    """Bring .venv up to date with the lock file given on the command line."""
    parser = argparse.ArgumentParser(prog="dev/environment.py", description="Create .venv or bring it up to date.")
    parser.add_argument("lock", choices=INCLUDES, help="lock file of requirements/")
    parser.add_argument("--exactly", action="store_true", help="replace an environment of another Python version")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends pip as well
    try:
        with _lock():
            refresh(Path(ROOT), arguments.lock, exactly=arguments.exactly)
    except KeyboardInterrupt:
        _fail("interrupted; the next call finishes it")


def refresh(root: Path, lock: str, *, exactly: bool = False) -> None:
    """Make .venv satisfy requirements/<lock>.txt. Print nothing if it already does.

    With `exactly`, an environment of another Python version is replaced.

    Raises:
        SystemExit: it can't be created, or the packages can't be installed.
    """
    venv = root / ".venv"
    stamp: dict[str, str] = {}
    with suppress(OSError, ValueError):
        stamp = json.loads((venv / STAMP).read_text())
    if (
        stamp.get("place") != str(venv)
        or not (venv / "bin" / "python").exists()
        or (exactly and stamp["python"] != _version())
    ):
        stamp = _create(venv)
    hashes = {name: _hash(root, name) for name in INCLUDES[lock]}
    if stamp.get(lock) != hashes[lock]:
        # without a stamp, the next call starts over: so it does if this one is killed
        (venv / STAMP).unlink(missing_ok=True)
        installed = _install(root, lock)
        temporary = venv / (STAMP + ".new")
        temporary.write_text(json.dumps({**stamp, **(hashes if installed else {})}, indent=2) + "\n")
        temporary.replace(venv / STAMP)
        if not installed:
            _fail("pip could not install the packages (see its last lines above); try again once that is fixed")


@contextmanager
def _lock() -> Iterator[None]:
    """Prevent two calls, such as `make run` and `make test` in two terminals, from installing at the same time."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _create(venv: Path) -> dict[str, str]:
    _say(f"making .venv with Python {_version()} ({sys.executable})")
    if sys.version_info[:2] > NEWEST_TESTED:
        _say(f"Python {_version()} is untested (3.11 to 3.13 are tested); continuing")
    try:
        if venv.exists():
            shutil.rmtree(venv)
    except OSError as error:
        _fail(f"{venv} can't be deleted: {error}")
    # the Python behind the folder just deleted, if the caller's was in there
    python = getattr(sys, "_base_executable", sys.executable)
    result = subprocess.run([python, "-I", "-m", "venv", venv], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(result.stdout + result.stderr, file=sys.stderr)
        _fail("this Python can't create one (see above); on Debian and Ubuntu: apt install python3-venv")
    return {"place": str(venv), "python": _version()}


def _install(root: Path, lock: str) -> bool:
    files = [root / "requirements" / f"{name}.txt" for name in (lock, DOCS)]
    packages = sum(len(re.findall(r"^[a-z0-9].*==", file.read_text(), re.MULTILINE)) for file in files)
    _say(f"installing {packages} packages from requirements/{lock}.txt (about half a minute the first time)")
    started = time.perf_counter()
    # --no-deps, since the lock files name every package and docs.in leaves some out on purpose
    # fmt: off
    command = [str(root / ".venv" / "bin" / "python"), "-I", "-m", "pip", "install", "--require-hashes", "--no-deps",
               "--disable-pip-version-check", "--no-input", "--progress-bar=off",
               *(part for file in files for part in ("-r", str(file)))]
    # fmt: on
    environ = {**os.environ, "PIP_USER": "0"}  # `user = true` in pip.conf would make pip fail in an environment
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        try:
            last = _show_progress(pip, packages)
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode != 0:
        print("\n".join(last), file=sys.stderr)
        return False
    _say(f"ready after {time.perf_counter() - started:.0f} s")
    return True


def _show_progress(pip: "subprocess.Popen[str]", packages: int) -> "deque[str]":
    """Count the packages on one line of the terminal, and return pip's last lines."""
    assert pip.stdout is not None
    last: deque[str] = deque(maxlen=8)
    show = print if sys.stdout.isatty() else lambda *_, **__: None
    count = 0
    for line in pip.stdout:
        last.append(line.rstrip())
        if line.startswith("Collecting"):
            count += 1
            show(f"\r\033[K  {count}/{packages} {line.split()[1]}", end="", flush=True)
        elif line.startswith("Installing"):
            show("\r\033[K  unpacking", end="", flush=True)
    show("\r\033[K", end="", flush=True)
    return last


def _hash(root: Path, lock: str) -> str:
    contents = [(root / "requirements" / f"{name}.txt").read_bytes() for name in (lock, DOCS)]
    return hashlib.sha256(b"".join(contents)).hexdigest()


def _version() -> str:
    return "{}.{}".format(*sys.version_info)


def _say(text: str) -> None:
    print(f"virtual environment: {text}", flush=True)


def _fail(text: str) -> NoReturn:
    sys.exit(f"virtual environment: {text}")


if __name__ == "__main__":
    main()
