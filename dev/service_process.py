"""A service or the console as a process, run as in production: started, awaited, stopped."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from auth_service import keys
from dev import Failure, processes

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
"""Longer than a service takes to finish the requests in progress."""

# The caller's shell may have these for other programs. All others are passed on: ACCESS_TOKEN_SECONDS=60 make run
_NOT_PASSED_ON = ("HOST", "PORT", "METRICS_PORT", "MIGRATE", "LOG_FORMAT")
_PREFIXES_NOT_PASSED_ON = ("ACCOUNT_KEYRING", "DATABASE_", "JWT_", "PG")


@dataclass(frozen=True)
class Service:
    """A started process: `auth`, `posts` or `console`."""

    name: str
    port: int
    process: psutil.Popen
    health: str = "/health/ready"
    """Path that answers 200 once the service is ready."""

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{HOST}:{self.port}"


def start(
    name: str,
    *,
    port: int,
    database_url: str,
    keyring: Path,
    more: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> Service:
    """Start `auth` or `posts` without waiting until it is ready.

    Only auth gets the account keyring that belongs to `keyring`. `more` has additional variables. Without `log`, the
    log goes to the caller's standard error.
    """
    # needed to add a third service to the pair; other JWT_ variables are not passed on
    audiences = {"JWT_AUDIENCES": os.environ["JWT_AUDIENCES"]} if "JWT_AUDIENCES" in os.environ else {}
    settings = {**audiences, "DATABASE_URL": database_url, "JWT_KEYRING_FILE": str(keyring), **(more or {})}
    if name == "auth":
        settings.setdefault("ACCOUNT_KEYRING_FILE", str(account_keyring(keyring)))
    return Service(name, port, _serve(f"{name}_service", port, settings, log))


def account_keyring(keyring: Path) -> Path:
    """Return the key file that only auth has, beside the one that all services share."""
    return keyring.with_name(f"account-{keyring.name}")


def new_keyrings(keyring: Path) -> str:
    """Make the shared key file and the account key file beside it; return the id of the shared key."""
    keys.new(account_keyring(keyring))
    return keys.new(keyring)


def start_console(*, port: int, auth_url: str, posts_url: str, gallery: Path) -> Service:
    """Start the console without waiting until it is ready; the base URLs are those for the browser."""
    settings = {"AUTH_URL": auth_url, "POSTS_URL": posts_url, "GALLERY_FILE": str(gallery)}
    return Service("console", port, _serve("console", port, settings), health="/health/live")


def environment() -> dict[str, str]:
    """Return the caller's environment without variables that would change a service's settings by accident."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_PASSED_ON and not name.startswith(_PREFIXES_NOT_PASSED_ON)
    }


def wait_until_ready(services: Sequence[Service], pause: Callable[[float], object] = time.sleep) -> None:
    """Return once every service is ready.

    Raises:
        Failure: one of them ended, or is not ready after READY_SECONDS.
    """
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(services)
    while waiting:
        waiting = [service for service in waiting if not _is_ready(service)]
        for service in waiting:
            fail_if_ended(service)
            if time.monotonic() > deadline:
                raise Failure(f"the {service.name} service is not ready after {READY_SECONDS:.0f} s")
        pause(0.02)


def fail_if_ended(service: Service) -> None:
    """Raise Failure if the process has ended."""
    status = service.process.poll()
    if status is not None:
        raise Failure(f"the {service.name} service {processes.how_it_ended(status)}")


def stop(services: Sequence[Service]) -> None:
    """Stop services at the same time, letting them finish requests in progress; kill those that don't end."""
    processes.end([service.process for service in services], signal.SIGTERM, seconds=STOP_SECONDS)


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(module: str, port: int, settings: Mapping[str, str], log: IO[bytes] | None = None) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", module, "serve"],
        cwd=ROOT,
        # no load balancer has to notice that a service stops, so it stops at once
        env={
            "LAME_DUCK_SECONDS": "0",
            **environment(),
            "HOST": HOST,
            "PORT": str(port),
            "LOG_FORMAT": "text",
            **settings,
        },
        stderr=log,
        start_new_session=True,  # Ctrl-C then reaches the runner alone, which stops everything in order
    )


def _is_ready(service: Service) -> bool:
    if service.process.poll() is not None:
        return False  # another program may be answering on its port
    connection = http.client.HTTPConnection(HOST, service.port, timeout=2)  # unlike urllib, ignores proxy settings
    try:
        connection.request("GET", service.health)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
