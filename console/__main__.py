"""python -m console serve."""

import argparse
import logging
import os
import sys

from aiohttp import web

from console.app import create_app
from console.settings import Settings
from shared import logs, wire
from shared.errors import StartupError

DRAIN_SECONDS = 2.0
"""How long requests that are under way may take once the console is told to stop: they are small files."""

_log = logging.getLogger(__name__)


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m console", description="The console: a page for both services.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    arguments = parser.parse_args()
    try:
        arguments.run()
    except StartupError as error:
        sys.exit(f"console: {error}")


def serve() -> None:
    """Serve as the environment's variables say.

    Raises:
        StartupError: a setting can't be used, or the address can't be listened on.
    """
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "console")

    def announce(_: str) -> None:
        _log.info("listening on http://%s:%d", settings.host, settings.port)

    try:
        web.run_app(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            print=announce,
            access_log=None,
            shutdown_timeout=DRAIN_SECONDS,
            **wire.SERVER_OPTIONS,
        )
    except OSError as error:
        raise StartupError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set HOST and PORT"
        ) from None


if __name__ == "__main__":
    main()
