"""What `make run` is told by environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Self

from dev import Failure, pair

NAMES = ("auth", "posts")
CONSOLE = "console"
_DEFAULT_PORTS = {"auth": 8001, "posts": 8002, CONSOLE: 8000}
MAX_PORT = 65535
DEFAULT_DATA_DIR = (pair.ROOT / ".data").resolve()


@dataclass(frozen=True)
class Settings:
    """What AUTH_PORT, POSTS_PORT, CONSOLE_PORT, DATA_DIR and CORS_ORIGINS say."""

    ports: Mapping[str, int]
    data_dir: Path
    cors_origins: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables; one that is empty counts as not set.

        Raises:
            Failure: a port is none, or two are the same.
        """
        ports = {name: _port(environ, variable(name), default) for name, default in _DEFAULT_PORTS.items()}
        for one, other in combinations(ports, 2):
            if ports[one] == ports[other]:
                raise Failure(
                    f"{variable(one)} and {variable(other)} are both {ports[one]}; give one of them another port"
                )
        console = [f"http://{host}:{ports[CONSOLE]}" for host in (pair.HOST, "localhost")]
        return cls(ports, data_dir(environ), ",".join(filter(None, [*console, environ.get("CORS_ORIGINS")])))


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where the data is to be: DATA_DIR, or .data beside the code."""
    return Path(environ.get("DATA_DIR") or DEFAULT_DATA_DIR)


def variable(name: str) -> str:
    """The variable that moves a service or the console to another port."""
    return f"{name.upper()}_PORT"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PORT)) and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise Failure(f"{name} is {text!r}, which is no port (1 to {MAX_PORT}); say make run {name}={default}, or unset it")
