"""The command line: python -m auth_service serve | migrate | keys … | users … | audit | token inspect."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from auth_service import administration, inspection, keys
from auth_service.administration import runs
from auth_service.app import create_app, create_database
from auth_service.model import SCOPES
from auth_service.settings import MIN_RETENTION_DAYS, Settings, TokenSettings
from shared import logs, strict_json
from shared.database.settings import add_wait
from shared.errors import StartupError
from shared.http import server

MAX_EVENTS = 1_000_000
"""The most events that `audit` prints; all are in memory at once."""

MAX_DAYS = 36_500

MAX_READINESS_BYTES = 64 * 1024
"""The most that is read of such an answer."""

READY_SECONDS = 5.0
"""How long a service may take to answer /health/ready."""


def main() -> None:
    """Run the command named on the command line."""
    arguments = _parser().parse_args()
    server.main("auth_service", lambda: arguments.run(arguments))


def serve(_: argparse.Namespace) -> None:
    """Serve with the settings in the environment."""
    settings = _settings()
    server.run(
        create_app(settings),
        settings.host,
        settings.port,
        max_connections=settings.max_connections,
        lame_duck_seconds=settings.lame_duck_seconds,
    )


def migrate(arguments: argparse.Namespace) -> None:
    """Migrate, print what ran, and let the service's role use the tables if it isn't the role that owns them."""
    database = create_database(_settings())
    ran = asyncio.run(database.migrate(arguments.wait))
    print("\n".join(ran) or "the schema is up to date")
    if arguments.grant_to is not None:
        asyncio.run(database.grant(arguments.grant_to, append_only=["audit_events"], wait=arguments.wait))
        print(f"the role {arguments.grant_to} may use the tables, and only add to the audit events")


def audit(arguments: argparse.Namespace) -> None:
    """Print or prune the audit events."""
    runs(administration.prune if arguments.account == "prune" else administration.audit)(arguments)


def new_keyring(arguments: argparse.Namespace) -> None:
    """Make a key file, and print the key's id, never the key."""
    print(f"{arguments.file}: made, with one new key {keys.new(arguments.file)}")


def add_key(arguments: argparse.Namespace) -> None:
    """Add a key that verifies but doesn't sign yet."""
    kid = keys.add(arguments.file)
    print(f"added {kid}")
    print(f"Once every service lists it in /health/ready: keys promote {arguments.file} {kid} --ready URL …")


def promote_key(arguments: argparse.Namespace) -> None:
    """Make a key the signing key, if every service named with --ready has it."""
    if not arguments.ready and not arguments.force:
        raise StartupError("name every replica of both services with --ready URL, or use --force")
    if not arguments.force:
        answers = asyncio.run(_readiness(arguments.ready))
        if reasons := list(keys.unready(arguments.kid, answers)):
            raise StartupError("not promoted: " + "; ".join(reasons))
    keys.promote(arguments.file, arguments.kid, time.time())
    print(f"{arguments.kid} is now the signing key; all keys in the file still verify")


def retire_key(arguments: argparse.Namespace) -> None:
    """Remove a key, if every token that it signed has expired."""
    settings = TokenSettings.from_environ(os.environ)
    token_seconds = settings.access_token_seconds + settings.jwt_leeway
    keys.retire(arguments.file, arguments.kid, time.time(), token_seconds=token_seconds, force=arguments.force)
    print(f"{arguments.kid} was removed from {arguments.file}")


def list_keys(arguments: argparse.Namespace) -> None:
    """Print the ids, starting with the signing key's."""
    for position, kid in enumerate(keys.read(arguments.file).kids):
        print(f"{kid}  {'verifies' if position else 'signs and verifies'}")


def inspect_token(arguments: argparse.Namespace) -> None:
    """Explain a token and, if there is a key file, say whether it is accepted."""
    if arguments.source != "-":
        raise StartupError(
            "everyone on the machine can read a command line; send the token to standard input, as in"
            ' echo "$TOKEN" | python -m auth_service token inspect'
        )
    token = sys.stdin.read().strip()
    settings = TokenSettings.from_environ(os.environ)
    print("\n".join(inspection.explain(token, time.time(), settings.verifiers())))


def _settings() -> Settings:
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "auth")
    return settings


async def _readiness(urls: Iterable[str]) -> dict[str, Any]:
    """Return each service's readiness answer; None unless it is 200 with JSON."""
    answers: dict[str, Any] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READY_SECONDS)) as http:
        for base in urls:
            url = f"{base.rstrip('/').removesuffix('/health/ready')}/health/ready"
            try:
                async with http.get(url, allow_redirects=False) as response:
                    content = b""
                    async for chunk in response.content.iter_any():
                        content += chunk
                        if len(content) > MAX_READINESS_BYTES:
                            break  # what is left is not JSON
                    answers[url] = strict_json.loads(content) if response.status == HTTPStatus.OK else None
            except (aiohttp.ClientError, TimeoutError, strict_json.NotStrict):
                answers[url] = None
    return answers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m auth_service", description="The auth service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    migrating = commands.add_parser("migrate", help="bring the database's schema up to date")
    migrating.add_argument(
        "--grant-to", metavar="ROLE", help="the role that the service runs as, if it isn't the one that owns the tables"
    )
    add_wait(migrating)
    migrating.set_defaults(run=migrate)

    key_parser = commands.add_parser("keys", help="make and rotate the shared secret")
    key_commands = key_parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("new", new_keyring, "make a key file with one new key"),
        ("add", add_key, "add a new key that verifies, but doesn't sign yet"),
        ("promote", promote_key, "make a key the signing key, once every service has it"),
        ("retire", retire_key, "remove a key, once every token that it signed has expired"),
        ("list", list_keys, "print the ids of the keys, starting with the signing key"),
    ):
        command = key_commands.add_parser(name, help=text, description=text)
        command.add_argument("file", type=Path, help="the key file")
        if run in (promote_key, retire_key):
            command.add_argument("kid", help="the key's id")
            command.add_argument("--force", action="store_true", help="do it without checking whether it is safe")
        if run is promote_key:
            command.add_argument(
                "--ready",
                action="append",
                default=[],
                metavar="URL",
                help="base URL of a replica to check; repeat for each one",
            )
        command.set_defaults(run=run)

    _add_users(commands.add_parser("users", help="manage accounts, on this service's database"))
    auditing = commands.add_parser("audit", help="print who did what, when and from where; newest last")
    auditing.add_argument(
        "account",
        nargs="?",
        help="one account only: its address, or its id, which works for deleted accounts too; or the word prune, to"
        " delete old events",
    )
    auditing.add_argument(
        "--older-than",
        type=_days,
        metavar="DAYS",
        help=f"age of the events to prune, {MIN_RETENTION_DAYS} or more (default AUDIT_RETENTION_DAYS)",
    )
    auditing.add_argument(
        "--limit", type=_limit, default=100, metavar="N", help="maximum number of events (default 100)"
    )
    add_wait(auditing)
    auditing.set_defaults(run=audit)

    token_commands = commands.add_parser("token", help="explain a token").add_subparsers(
        required=True, metavar="COMMAND"
    )
    inspect = token_commands.add_parser("inspect", help="print what a token contains, and whether it is valid")
    inspect.add_argument("source", nargs="?", default="-", metavar="-", help="the token is read from standard input")
    inspect.set_defaults(run=inspect_token)
    return parser


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= MAX_EVENTS:
        raise argparse.ArgumentTypeError(f"it must be 1 to {MAX_EVENTS}")
    return limit


def _days(text: str) -> int:
    days = int(text)
    if not MIN_RETENTION_DAYS <= days <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"it must be {MIN_RETENTION_DAYS} to {MAX_DAYS}")
    return days


def _add_users(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    roles = tuple(SCOPES)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        add_wait(command)
        command.set_defaults(run=run, disabled=None)
        return command

    def add_for_account(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = add(name, run, text)
        command.add_argument("email", help="the account's address")
        return command

    create = add_for_account(
        "create", runs(administration.create, asks_password=True), "open an account; asks for the password"
    )
    create.add_argument("--name", required=True, help="the name that others see")
    create.add_argument("--role", choices=roles, default="user", help="what the account may do (default user)")
    add("list", runs(administration.show), "print every account")
    disable = add_for_account(
        "disable", runs(administration.change), "end all sessions of an account and refuse log-ins"
    )
    disable.set_defaults(disabled=True)
    enable = add_for_account("enable", runs(administration.change), "accept log-ins again")
    enable.set_defaults(disabled=False)
    role = add_for_account("role", runs(administration.change), "change an account's role")
    role.add_argument("role", choices=roles)
    add_for_account(
        "password",
        runs(administration.set_password, asks_password=True),
        "set a password and end all sessions; asks for the password",
    )


if __name__ == "__main__":
    main()
