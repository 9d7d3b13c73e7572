"""The command line: python -m console serve."""

import argparse
import os

from console.app import create_app
from console.settings import Settings
from shared import logs
from shared.http import server


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m console", description="The console: a page for both services.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or Ctrl-C").set_defaults(run=serve)
    server.main("console", parser.parse_args().run)


def serve() -> None:
    """Serve with the settings in the environment."""
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format, "console")
    server.run(create_app(settings), settings.host, settings.port)


if __name__ == "__main__":
    main()
