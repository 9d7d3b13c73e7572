"""python -m dev run | stop-auth | start-auth | stop | reset | seed: the make targets of these names, in .venv."""

import argparse
import os
import sys
from importlib.util import find_spec

if find_spec("psutil") is None:
    sys.exit("the virtual environment is incomplete; `make run` completes it")

from dev import Failure
from dev.data_directory import START_AUTH, STOP_AUTH, DataDirectory
from dev.run import run, say
from dev.seed import seed_running
from dev.settings import data_dir
from shared.errors import StartupError


def main() -> None:
    """Run the command given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev", description="Both services and the console on this machine.")
    parser.add_argument("command", choices=["run", *_COMMANDS, "seed"])
    parser.add_argument("--posts", type=int, default=1000, metavar="N", help="how many posts `seed` makes up (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another number makes up other posts (1)")
    arguments = parser.parse_args()
    directory = DataDirectory(data_dir(os.environ))
    try:
        if arguments.command == "run":
            run()
        elif arguments.command == "seed":
            seed_running(directory, arguments.posts, arguments.seed)
        else:
            _COMMANDS[arguments.command](directory)
    except (Failure, StartupError) as failure:
        sys.exit(f"make {arguments.command}: {failure}")
    except OSError as error:
        sys.exit(f"make {arguments.command}: {error}; DATA_DIR chooses another folder")


def stop_auth(directory: DataDirectory) -> None:
    """Stop the auth service of a run."""
    directory.ask(STOP_AUTH)
    say(
        "auth is stopped; posts keeps working without it. `make start-auth` starts auth again\n"
        "(its database keeps running, since both are on one Postgres; `docker compose stop auth auth-db` stops both)"
    )


def start_auth(directory: DataDirectory) -> None:
    """Start the auth service of a run again, and return once it is ready."""
    directory.ask(START_AUTH)
    if "auth" not in directory.running():
        raise Failure("auth could not be started; see the terminal of `make run` for the reason")
    say("auth is back")


def stop(directory: DataDirectory) -> None:
    """End everything that uses the data directory, from any terminal and in any state."""
    ended = directory.end_all()
    say(f"ended: {', '.join(ended)}" if ended else f"nothing is running on {directory.path}")


def reset(directory: DataDirectory) -> None:
    """End everything, then delete the data and the key."""
    if not directory.is_ours:
        say(f"{directory.path} has nothing that `make run` made")
        return
    stop(directory)
    with directory.held():
        directory.erase()
    say(f"deleted the databases, the key file and the signed tokens in {directory.path}")


_COMMANDS = {STOP_AUTH: stop_auth, START_AUTH: start_auth, "stop": stop, "reset": reset}

if __name__ == "__main__":
    main()
