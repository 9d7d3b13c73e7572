"""What whoever runs the service asks it: whether it lives, and whether it can work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import TypeAdapter

from shared import body
from shared.database import Database
from shared.keyring import Keyring
from shared.routes import PUBLIC, Reply, Route


@dataclass(frozen=True, slots=True)
class Live:
    """The process answers."""

    status: Literal["live"]


@dataclass(frozen=True, slots=True)
class Ready:
    """The service can work; `database` is null where it has none."""

    status: Literal["ready"]
    database: Literal["ok"] | None
    keyring: Literal["ok", "stale"]
    """stale: what stands in the key file now can't be used, and the keys from before still are."""
    kids: Sequence[str]


LIVE = TypeAdapter(Live)
READY = TypeAdapter(Ready)


def routes(keyring: Keyring, database: Database | None) -> tuple[Route, ...]:
    """The rows of the route table that every service has."""

    async def live(_: web.Request) -> web.Response:
        """GET /health/live: the process answers."""
        return body.response(LIVE, Live("live"))

    async def ready(_: web.Request) -> web.Response:
        """GET /health/ready: it can work, and these are the ids of the keys that it holds."""
        if database is not None:
            await database.check()
        return body.response(
            READY,
            Ready(
                "ready",
                database=None if database is None else "ok",
                keyring="ok" if keyring.fault is None else "stale",
                kids=keyring.current.kids,
            ),
        )

    return (
        Route("GET", "/health/live", live, PUBLIC, replies=(Reply(200, "It lives", LIVE),), asks_database=False),
        Route("GET", "/health/ready", ready, PUBLIC, replies=(Reply(200, "It can work", READY),)),
    )
