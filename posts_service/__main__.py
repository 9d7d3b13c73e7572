"""The command line: python -m posts_service serve | migrate."""

import argparse
import asyncio
import os

from posts_service.app import create_app, create_database
from posts_service.settings import Settings
from shared import logs
from shared.database.settings import add_wait
from shared.http import server


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m posts_service", description="The posts service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    migrating = commands.add_parser("migrate", help="bring the database's schema up to date")
    add_wait(migrating)
    migrating.set_defaults(run=migrate)
    arguments = parser.parse_args()
    server.main("posts_service", lambda: arguments.run(arguments))


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
    """Migrate, and print what ran."""
    ran = asyncio.run(create_database(_settings()).migrate(arguments.wait))
    print("\n".join(ran) or "the schema is up to date")


def _settings() -> Settings:
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "posts")
    return settings


if __name__ == "__main__":
    main()
