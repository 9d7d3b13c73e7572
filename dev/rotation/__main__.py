"""python -m dev.rotation: the drill on a Postgres of its own; prints its figures, status 1 if a client noticed."""

import asyncio
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from dev import Failure
from dev.postgres import Postgres
from dev.rotation.drill import NAMES, REPLICAS, drill, rotate
from dev.rotation.figures import Figures

SHOWN_LINES = 20


def main() -> None:
    """Run the drill and say how it went."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
    except Failure as failure:
        sys.exit(f"rotation drill: {failure}")
    except KeyboardInterrupt:
        sys.exit("rotation drill: interrupted; everything that it started is stopped")


def run(folder: Path) -> None:
    """Run the drill in an empty folder and print the figures.

    Raises:
        Failure: it could not be done, or a client noticed.
    """
    say = partial(print, flush=True)
    say(f"starting Postgres and {REPLICAS} replicas of each service; all in all it takes half a minute")
    log = folder / "services.log"
    try:
        figures = _figures(folder, log)
        print("", *figures.lines(), "", sep="\n")
        if not figures.is_good:
            raise Failure("clients noticed that the key was exchanged")
    except Failure:
        print(*_complaints(log), sep="\n", file=sys.stderr)
        raise
    say("0 failed requests, 0 forced log-ins: no client noticed that the key was exchanged")


def _figures(folder: Path, log: Path) -> Figures:
    with Postgres(folder / "postgres", durable=False) as postgres, log.open("wb") as out:
        postgres.create_databases(NAMES)
        auth, posts = (postgres.url(name, user=name) for name in NAMES)
        return asyncio.run(drill((auth, posts), folder, rotate, partial(print, flush=True), out))


def _complaints(log: Path) -> list[str]:
    """The last lines of the services' log that are more than news."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line for line in lines if " INFO " not in line][-SHOWN_LINES:]


if __name__ == "__main__":
    main()
