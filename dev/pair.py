"""A service or the console as a process of its own, as it runs anywhere else: started, waited for, stopped."""

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

from dev import Failure, processes

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
"""More than a service takes to finish what is under way."""

# what the caller's shell may have for other programs. All else goes through: ACCESS_TOKEN_SECONDS=60 make run
_OURS = ("HOST", "PORT", "METRICS_PORT", "MIGRATE", "LOG_FORMAT")
_OUR_PREFIXES = ("DATABASE_", "JWT_", "PG")


@dataclass(frozen=True)
class Service:
    """One that was started: `auth`, `posts` or `console`."""

    name: str
    port: int
    process: psutil.Popen
    health: str = "/health/ready"
    """Where it says that it can work."""

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
    """Start `python -m <name>_service serve`; it is not ready yet.

    Args:
        name: auth or posts.
        port: Where it listens, on 127.0.0.1.
        database_url: Its database.
        keyring: The key file.
        more: Variables that come on top.
        log: Where its log goes; None: to the caller's standard error.
    """
    signs_for = {"JWT_AUDIENCES": os.environ["JWT_AUDIENCES"]} if "JWT_AUDIENCES" in os.environ else {}
    settings = {
        **signs_for,  # a third service, added beside the pair
        "DATABASE_URL": database_url,
        "JWT_KEYRING_FILE": str(keyring),
        **(more or {}),
    }
    return Service(name, port, _serve(f"{name}_service", port, settings, log))


def start_console(*, port: int, auth_url: str, posts_url: str, gallery: Path) -> Service:
    """Start `python -m console serve`; it is not ready yet.

    Args:
        port: Where it listens, on 127.0.0.1.
        auth_url: Base URL of the auth service, as the browser reaches it.
        posts_url: Base URL of the posts service, likewise.
        gallery: The tokens that are well signed and must be refused.
    """
    settings = {"AUTH_URL": auth_url, "POSTS_URL": posts_url, "GALLERY_FILE": str(gallery)}
    # it depends on nothing, so that being alive is being ready
    return Service("console", port, _serve("console", port, settings), health="/health/live")


def environment() -> dict[str, str]:
    """The caller's environment without what would lead a service astray."""
    return {
        name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith(_OUR_PREFIXES)
    }


def wait_until_ready(services: Sequence[Service], pause: Callable[[float], object] = time.sleep) -> None:
    """Return once each of them says that it can work.

    Args:
        services: Those that were started.
        pause: Called with seconds while waiting; what it raises goes to the caller.

    Raises:
        Failure: one ended, or is not ready after READY_SECONDS.
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
    """Raise Failure if the process is gone."""
    status = service.process.poll()
    if status is not None:
        raise Failure(f"the {service.name} service {processes.how_it_ended(status)}")


def stop(services: Sequence[Service]) -> None:
    """Let them finish what is under way, all at the same time; what does not end is killed."""
    processes.end([service.process for service in services], signal.SIGTERM, seconds=STOP_SECONDS)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(module: str, port: int, settings: Mapping[str, str], log: IO[bytes] | None = None) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", module, "serve"],
        cwd=ROOT,
        env={**environment(), "HOST": HOST, "PORT": str(port), "LOG_FORMAT": "text", **settings},
        stderr=log,
        start_new_session=True,  # Ctrl-C is for whoever started it, who then stops it in order
    )


def _is_ready(service: Service) -> bool:
    if service.process.poll() is not None:
        return False  # whoever answers on its port is another
    connection = http.client.HTTPConnection(HOST, service.port, timeout=2)  # not by a proxy, as urllib would
    try:
        connection.request("GET", service.health)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
