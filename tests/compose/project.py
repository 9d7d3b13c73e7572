"""A compose project just for the tests, and ways to control and inspect it."""

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
SERVICES = ("auth", "posts")
CONSOLE = "console"
PUBLISHED = (*SERVICES, CONSOLE)
DATABASES = ("auth-db", "posts-db")
LONGEST_SECONDS = 900


@dataclass
class Project:
    """A project with a name and host ports that nothing else uses."""

    name: str = field(default_factory=lambda: f"pair-test-{secrets.token_hex(4)}")
    ports: dict[str, int] = field(
        default_factory=lambda: dict(zip(PUBLISHED, _free_ports(len(PUBLISHED)), strict=True))
    )
    whole: bool = False
    """Whether everything runs, as far as we know."""

    def base_url(self, service: str) -> str:
        """The base URL of a service or the console for a client on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def build(self) -> None:
        """Build the images."""
        self.compose("build")

    def up(self, *services: str) -> None:
        """Start everything, or only these services and their dependencies, and wait until they are healthy."""
        self.compose("up", "--detach", "--wait", *services)
        self.whole = not services

    def stop(self, *services: str) -> None:
        """Stop these containers as an operator does: with SIGTERM, then SIGKILL after the grace period."""
        self.whole = False
        self.compose("stop", *services)

    def down(self) -> None:
        """Remove the containers and networks but keep the volumes."""
        self.whole = False
        self.compose("down")

    def remove(self) -> None:
        """Remove everything that belongs to the project."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5")

    def state(self) -> str:
        """The state of every container, and the end of the logs."""
        return self.compose("ps", "--all", check=False) + self.compose("logs", "--no-color", "--tail=100", check=False)

    def execute(self, service: str, *command: str, given: str = "", user: str | None = None, check: bool = True) -> str:
        """Run a command inside a container, with `given` on its standard input, and return what it prints."""
        as_user = ("--user", user) if user else ()
        return self.compose("exec", "--no-TTY", *as_user, service, *command, given=given, check=check)

    def run_inside(self, service: str, script: str, *arguments: str) -> Any:
        """Run a script from the folder `inside` with a container's own Python, and return the JSON it prints."""
        text = (INSIDE / script).read_text(encoding="utf-8")
        return json.loads(self.execute(service, "python", "-", *arguments, given=text))

    def container(self, service: str) -> dict[str, Any]:
        """Everything that the engine knows about a service's container."""
        (ident,) = self.compose("ps", "--all", "--quiet", service).split()
        return self.inspect(ident)

    def running(self) -> set[str]:
        """The services that are running."""
        return set(self.compose("ps", "--services", "--status=running").split())

    def addresses(self, service: str) -> list[str]:
        """The addresses of a running container."""
        return [network["IPAddress"] for network in self.container(service)["NetworkSettings"]["Networks"].values()]

    def gateways(self) -> list[str]:
        """The addresses of the machine itself in the project's networks."""
        networks = self.docker("network", "ls", "--quiet", f"--filter=label=com.docker.compose.project={self.name}")
        return [config["Gateway"] for ident in networks.split() for config in self.inspect(ident)["IPAM"]["Config"]]

    def secrets(self) -> dict[str, str]:
        """The secrets as text that can be looked for, by what they are."""
        keys = {
            name: json.loads(self.execute("auth", "cat", f"/run/{folder}/keyring.json"))["keys"][0]["k"]
            for name, folder in (("key", "keyring"), ("account key", "account-keyring"))
        }
        return {
            **keys,
            "password of the owner of auth-db": self.execute("auth-db", "cat", "/run/database-owner/password"),
            **{
                f"password of {database}": self.execute(database, "cat", "/run/database/password")
                for database in DATABASES
            },
        }

    def inspect(self, ident: str) -> dict[str, Any]:
        """Everything that the engine knows about a container, an image or a network."""
        (known,) = json.loads(self.docker("inspect", ident))
        assert isinstance(known, dict)
        return known

    def compose(
        self, *arguments: str, given: str = "", check: bool = True, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run `docker compose` on this project and return its standard output."""
        file = str(ROOT / "docker-compose.yml")
        command = ("compose", "--file", file, "--project-name", self.name, *arguments)
        return self.docker(*command, given=given, check=check, variables=variables)

    def docker(
        self, *arguments: str, given: str = "", check: bool = True, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run `docker` and return its standard output; a failure shows all that it printed."""
        ports = {f"{service.upper()}_PORT": str(port) for service, port in self.ports.items()}
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **ports, **(variables or {})},
            input=given,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if check and done.returncode != 0:
            command = " ".join(arguments)
            raise AssertionError(f"docker {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def connects(host: str, port: int) -> bool:
    """Whether a host accepts a connection on a port."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def _free_ports(count: int) -> Iterable[int]:
    # all stay open until the last is found, so that no two are the same
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in held]
    finally:
        for listener in held:
            listener.close()
