"""The command line: python -m auth_service serve | migrate | keys … | users … | audit | token inspect."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp

from auth_service import administration, inspection, keys
from auth_service.app import create_app, create_database
from auth_service.model import SCOPES
from auth_service.settings import Settings, TokenSettings
from shared import logs, service
from shared.errors import StartupError

MAX_EVENTS = 1_000_000
"""What `audit` prints at most; all of it is in memory at once."""

READY_SECONDS = 5.0
"""How long a service may take to say whether it is ready."""


def main() -> None:
    """Run the command that the command line names."""
    arguments = _parser().parse_args()
    service.main("auth_service", lambda: arguments.run(arguments))


def serve(_: argparse.Namespace) -> None:
    """Serve as the environment's variables say."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "auth")
    service.run(create_app(settings), settings)


def migrate(_: argparse.Namespace) -> None:
    """Migrate and say what ran."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "auth")
    ran = asyncio.run(create_database(settings).migrate())
    print("\n".join(ran) or "the schema is up to date")


def new_keyring(arguments: argparse.Namespace) -> None:
    """Make a key file; print the key's id, never the key."""
    print(f"{arguments.file}: one new key, kid {keys.new(arguments.file)}")


def add_key(arguments: argparse.Namespace) -> None:
    """Add a key that verifies and does not sign yet."""
    kid = keys.add(arguments.file)
    print(
        f"added {kid}; once every service lists it in /health/ready: keys promote {arguments.file} {kid} --ready URL …"
    )


def promote_key(arguments: argparse.Namespace) -> None:
    """Make a key the signing one, if every service that is named knows it."""
    if not arguments.ready and not arguments.force:
        raise StartupError("name every replica of both services with --ready URL, or say --force")
    if not arguments.force:
        answers = asyncio.run(_readiness(arguments.ready))
        if reasons := list(keys.unready(arguments.kid, answers)):
            raise StartupError("not promoted: " + "; ".join(reasons))
    keys.promote(arguments.file, arguments.kid, time.time())
    print(f"{arguments.kid} signs from now on; every key in the file goes on verifying")


def retire_key(arguments: argparse.Namespace) -> None:
    """Take a key away, if nothing that it signed can live."""
    settings = TokenSettings.from_environ(os.environ)
    token_seconds = settings.access_token_seconds + settings.jwt_leeway
    keys.retire(arguments.file, arguments.kid, time.time(), token_seconds=token_seconds, force=arguments.force)
    print(f"{arguments.kid} is gone from {arguments.file}")


def list_keys(arguments: argparse.Namespace) -> None:
    """Print the ids, the signing key's first."""
    for position, kid in enumerate(keys.read(arguments.file).kids):
        print(f"{kid}  {'verifies' if position else 'signs and verifies'}")


def inspect_token(arguments: argparse.Namespace) -> None:
    """Explain a token; with a key file, say whether it is to be believed."""
    given = arguments.token
    token = sys.stdin.read().strip() if given == "-" else given
    settings = TokenSettings.from_environ(os.environ)
    keyring_given = settings.jwt_keyring_file or settings.jwt_keyring
    print("\n".join(inspection.explain(token, time.time(), settings.verifier() if keyring_given else None)))


async def _readiness(urls: Iterable[str]) -> dict[str, Any]:
    """Ask each service; what does not answer with 200 and JSON is None."""
    answers: dict[str, Any] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READY_SECONDS)) as http:
        for base in urls:
            url = f"{base.rstrip('/').removesuffix('/health/ready')}/health/ready"
            try:
                async with http.get(url) as response:
                    answers[url] = await response.json() if response.ok else None
            except (aiohttp.ClientError, TimeoutError, ValueError):
                answers[url] = None
    return answers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m auth_service", description="The auth service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    commands.add_parser("migrate", help="bring the database's schema up to date").set_defaults(run=migrate)

    key_parser = commands.add_parser("keys", help="make and rotate the shared secret")
    key_commands = key_parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("new", new_keyring, "make a key file with one fresh key"),
        ("add", add_key, "add a fresh key that verifies, and does not sign yet"),
        ("promote", promote_key, "make a key the signing one, once every service knows it"),
        ("retire", retire_key, "take a key away, once nothing that it signed can live"),
        ("list", list_keys, "print the ids of the keys, the signing one first"),
    ):
        command = key_commands.add_parser(name, help=text, description=text)
        command.add_argument("file", type=Path, help="the key file")
        if run in (promote_key, retire_key):
            command.add_argument("kid", help="the key's id")
            command.add_argument("--force", action="store_true", help="do it without asking whether it is safe")
        if run is promote_key:
            command.add_argument(
                "--ready", action="append", default=[], metavar="URL", help="base URL of a replica to ask; repeat it"
            )
        command.set_defaults(run=run)

    _add_users(commands.add_parser("users", help="accounts, on this service's database"))
    audit = commands.add_parser("audit", help="print who did what, when and from where; the newest last")
    audit.add_argument("account", nargs="?", help="of one account: its address, or its id, also if it was deleted")
    audit.add_argument("--limit", type=_limit, default=100, metavar="N", help="how many events (100)")
    audit.set_defaults(run=administration.audit)

    token_commands = commands.add_parser("token", help="look into a token").add_subparsers(
        required=True, metavar="COMMAND"
    )
    inspect = token_commands.add_parser("inspect", help="print what stands in a token, and whether it is valid")
    inspect.add_argument("token", nargs="?", default="-", help="the token; - or nothing reads standard input")
    inspect.set_defaults(run=inspect_token)
    return parser


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= MAX_EVENTS:
        raise argparse.ArgumentTypeError(f"it must be 1 to {MAX_EVENTS}")
    return limit


def _add_users(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    roles = tuple(SCOPES)

    def add(
        name: str, run: Callable[[argparse.Namespace], None], text: str, **preset: object
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run, **preset)
        if run is not administration.show:
            command.add_argument("email", help="address of the account")
        return command

    create = add("create", administration.create, "open an account; the password is asked for, or read from input")
    create.add_argument("--name", required=True, help="the name others see")
    create.add_argument("--role", choices=roles, default="user", help="what the account may do (user)")
    add("list", administration.show, "print every account")
    add("disable", administration.change, "end all sessions of an account and let nobody sign in", disabled=True)
    add("enable", administration.change, "let its user sign in again", disabled=False)
    role = add("role", administration.change, "give an account another role", disabled=None)
    role.add_argument("role", choices=roles)
    add(
        "password",
        administration.set_password,
        "set a password and end all sessions; it is asked for, or read from input",
    )


if __name__ == "__main__":
    main()
