"""python -m auth_service serve | migrate | keys new FILE."""

import argparse
import asyncio
import os
from pathlib import Path

from auth_service import keys
from auth_service.app import create_app, create_database
from auth_service.settings import Settings
from shared import logs, service


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m auth_service", description="The auth service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    commands.add_parser("migrate", help="bring the database's schema up to date").set_defaults(run=migrate)
    key_commands = commands.add_parser("keys", help="the shared secret").add_subparsers(
        required=True, metavar="COMMAND"
    )
    new = key_commands.add_parser("new", help="make a key file with one fresh key")
    new.add_argument("file", type=Path)
    new.set_defaults(run=new_keyring)
    arguments = parser.parse_args()
    service.main("auth_service", lambda: arguments.run(arguments))


def serve(_: argparse.Namespace) -> None:
    """Serve as the environment's variables say."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "auth")
    service.run(create_app(settings), settings.host, settings.port)


def migrate(_: argparse.Namespace) -> None:
    """Migrate and say what ran."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "auth")
    ran = asyncio.run(create_database(settings).migrate())
    print("\n".join(ran) or "the schema is up to date")


def new_keyring(arguments: argparse.Namespace) -> None:
    """Make a key file; print the key's id, never the key."""
    print(f"{arguments.file}: one new key, kid {keys.new(arguments.file)}")


if __name__ == "__main__":
    main()
