"""python -m posts_service serve | migrate."""

import argparse
import asyncio
import os

from posts_service.app import create_app, create_database
from posts_service.settings import Settings
from shared import logs, service


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m posts_service", description="The posts service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    commands.add_parser("migrate", help="bring the database's schema up to date").set_defaults(run=migrate)
    arguments = parser.parse_args()
    service.main("posts_service", lambda: arguments.run(arguments))


def serve(_: argparse.Namespace) -> None:
    """Serve as the environment's variables say."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "posts")
    service.run(create_app(settings), settings)


def migrate(_: argparse.Namespace) -> None:
    """Migrate and say what ran."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "posts")
    ran = asyncio.run(create_database(settings).migrate())
    print("\n".join(ran) or "the schema is up to date")


if __name__ == "__main__":
    main()
