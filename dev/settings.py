"""The settings of `make run`, from environment variables; an empty one counts as unset."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from dev import Failure
from dev.service_process import ROOT

NAMES = ("auth", "posts")
CONSOLE = "console"
MAX_PORT = 65535
DEFAULT_DATA_DIR = (ROOT / ".data").resolve()

_DEFAULT_PORTS = {"auth": 8001, "posts": 8002, CONSOLE: 8000}


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the data directory: DATA_DIR, or .data in the project."""
    return Path(environ.get("DATA_DIR") or DEFAULT_DATA_DIR)


def ports(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the ports of the services and of the console.

    Raises:
        Failure: a port is invalid, or two are the same.
    """
    chosen = {name: _port(environ, variable(name), default) for name, default in _DEFAULT_PORTS.items()}
    for one, other in combinations(chosen, 2):
        if chosen[one] == chosen[other]:
            raise Failure(f"{variable(one)} and {variable(other)} are both {chosen[one]}; choose different ports")
    return chosen


def variable(name: str) -> str:
    """Return the name of the variable that sets the port of a service or of the console."""
    return f"{name.upper()}_PORT"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PORT)) and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise Failure(f"{name} is {text!r}, but a port is a number from 1 to {MAX_PORT}, for example {name}={default}")
