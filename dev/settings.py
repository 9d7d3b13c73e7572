"""The settings of `make run`, from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Self

from dev import Failure
from dev.service_process import HOST, ROOT

NAMES = ("auth", "posts")
CONSOLE = "console"
MAX_PORT = 65535
DEFAULT_DATA_DIR = (ROOT / ".data").resolve()

_DEFAULT_PORTS = {"auth": 8001, "posts": 8002, CONSOLE: 8000}


@dataclass(frozen=True)
class Settings:
    """The values of AUTH_PORT, POSTS_PORT, CONSOLE_PORT, DATA_DIR and CORS_ORIGINS."""

    ports: Mapping[str, int]
    data_dir: Path
    cors_origins: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables; an empty one counts as unset.

        Raises:
            Failure: a port is invalid, or two are the same.
        """
        ports = {name: _port(environ, variable(name), default) for name, default in _DEFAULT_PORTS.items()}
        for one, other in combinations(ports, 2):
            if ports[one] == ports[other]:
                raise Failure(f"{variable(one)} and {variable(other)} are both {ports[one]}; choose different ports")
        origins = [f"http://{host}:{ports[CONSOLE]}" for host in (HOST, "localhost")]
        return cls(ports, data_dir(environ), ",".join(filter(None, [*origins, environ.get("CORS_ORIGINS")])))


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the data directory: DATA_DIR, or .data in the project."""
    return Path(environ.get("DATA_DIR") or DEFAULT_DATA_DIR)


def variable(name: str) -> str:
    """Return the name of the variable that sets the port of a service or of the console."""
    return f"{name.upper()}_PORT"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PORT)) and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise Failure(f"{name} is {text!r}, but a port is a number from 1 to {MAX_PORT}, for example {name}={default}")
