"""python -m tests.system.rotation: run the drill on an embedded Postgres; the status is 1 if a client noticed."""

import asyncio
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from dev import Failure
from dev.postgres import temporary
from tests.system.rotation.drill import NAMES, REPLICAS, drill, rotate

SHOWN_LINES = 20

say = partial(print, flush=True)


def main() -> None:
    """Run the drill and report the result."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a background job starts with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
    except Failure as failure:
        sys.exit(f"rotation drill: {failure}")
    except KeyboardInterrupt:
        sys.exit("rotation drill: interrupted; everything that it started has been stopped")


def run(folder: Path) -> None:
    """Run the drill in an empty folder and print the figures.

    Raises:
        Failure: it could not be completed, or a client noticed.
    """
    say(f"starting Postgres and {REPLICAS} replicas of each service; this takes half a minute in all")
    log = folder / "services.log"
    try:
        with temporary() as postgres, log.open("wb") as out:
            postgres.create_databases(NAMES)
            figures = asyncio.run(drill((postgres.url("auth"), postgres.url("posts")), folder, rotate, say, out))
        print("", *figures.lines(), "", sep="\n")
        if not figures.is_good:
            raise Failure("clients noticed that the key was replaced")
    except Failure:
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        print(*[line for line in lines if " INFO " not in line][-SHOWN_LINES:], sep="\n", file=sys.stderr)
        raise
    say("0 failed requests, 0 forced log-ins: no client noticed that the key was replaced")


if __name__ == "__main__":
    main()
