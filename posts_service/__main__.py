"""python -m posts_service serve | migrate | seed."""

import argparse
import asyncio
import os

from posts_service.app import create_app, create_database
from posts_service.seed import seed
from posts_service.settings import Settings
from posts_service.store import PostStore
from shared import logs, service
from shared.errors import StartupError


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m posts_service", description="The posts service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    commands.add_parser("migrate", help="bring the database's schema up to date").set_defaults(run=migrate)
    filling = commands.add_parser("seed", help="fill the database with made-up posts")
    filling.add_argument("--posts", type=int, required=True, metavar="N", help="how many")
    filling.add_argument("--seed", type=int, default=1, metavar="N", help="another number makes other posts (1)")
    filling.set_defaults(run=fill)
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


def fill(arguments: argparse.Namespace) -> None:
    """Write made-up posts."""
    settings = Settings.from_environ(os.environ)
    logs.configure("text", "posts")
    if arguments.posts < 1:
        raise StartupError("--posts must be at least 1")

    async def run() -> None:
        database = create_database(settings)
        await database.open()
        try:
            await seed(PostStore(database), arguments.posts, arguments.seed)
        finally:
            await database.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()
