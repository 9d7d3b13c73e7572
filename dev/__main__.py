"""python -m dev run | stop-auth | start-auth | stop | reset: what make's targets of these names do in .venv."""

import argparse
import os
import sys
from importlib.util import find_spec

if find_spec("psutil") is None:
    sys.exit("the virtual environment is not complete; `make run` completes it")

from dev import Failure
from dev.data import START_AUTH, STOP_AUTH, DataDirectory
from dev.run import run, say
from dev.settings import data_dir


def main() -> None:
    """Run the command that the command line names."""
    commands = {"run": run, STOP_AUTH: stop_auth, START_AUTH: start_auth, "stop": stop, "reset": reset}
    parser = argparse.ArgumentParser(prog="python -m dev", description="Both services and the console on this machine.")
    parser.add_argument("command", choices=commands)
    command = parser.parse_args().command
    try:
        commands[command]()
    except Failure as failure:
        sys.exit(f"make {command}: {failure}")


def stop_auth() -> None:
    """End the auth service of a run, and leave the rest of it alone.

    Raises:
        Failure: there is no run, or it ended meanwhile.
    """
    DataDirectory(data_dir(os.environ)).ask(STOP_AUTH)
    say(
        "auth is stopped, and posts goes on without it; `make start-auth` brings it back\n"
        "(its database stays: here both are in one Postgres. `docker compose stop auth auth-db` takes that away too)"
    )


def start_auth() -> None:
    """Start the auth service of a run again; it is ready on return.

    Raises:
        Failure: there is no run, or it ended meanwhile, or it can't start auth.
    """
    directory = DataDirectory(data_dir(os.environ))
    directory.ask(START_AUTH)
    if not directory.runs("auth"):
        raise Failure("auth is not started; the terminal of `make run` says why")
    say("auth is there again")


def stop() -> None:
    """End what runs on the data directory, from whichever terminal and in whatever state.

    Raises:
        Failure: it belongs to another user.
    """
    directory = DataDirectory(data_dir(os.environ))
    ended = directory.end_all()
    say(f"ended: {', '.join(ended)}" if ended else f"nothing runs on {directory.path}")


def reset() -> None:
    """Stop, then delete the data and the key.

    Raises:
        Failure: a run has just begun, or something can't be deleted.
    """
    directory = DataDirectory(data_dir(os.environ))
    if not directory.is_ours:
        say(f"there is nothing in {directory.path} that `make run` made")
        return
    stop()
    with directory.held():
        directory.erase()
    say(f"deleted what `make run` made in {directory.path}: the databases, the key file and the tokens signed with it")


if __name__ == "__main__":
    main()
