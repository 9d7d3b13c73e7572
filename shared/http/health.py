"""Health routes for orchestrators: whether the process is alive, and whether it can do its work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import TypeAdapter

from shared.database.pool import Database
from shared.errors import Stopping
from shared.http import body
from shared.http.connections import Protocol
from shared.http.routes import PUBLIC, Reply, Route
from shared.tokens.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Live:
    """The process is alive."""

    status: Literal["live"]


@dataclass(frozen=True, slots=True)
class Ready:
    """The service can do its work; `database` is null if it has none."""

    status: Literal["ready"]
    database: Literal["ok"] | None
    keyring: Literal["ok", "stale", "replaced"]
    """stale: a key file's present content can't be used, and the previous keys are still in use.
    replaced: none of the previous keys is left in a key file, and tokens signed with them are refused."""
    kids: Sequence[str]
    """The ids of the keys that all services share; the first one signs access tokens."""
    private_kids: Sequence[str] | None
    """The ids of keys that only this service has; null if it has none."""


LIVE = TypeAdapter(Live)
READY = TypeAdapter(Ready)


def routes(keyring: Keyring, shared_keyring: Keyring | None, database: Database | None) -> tuple[Route, ...]:
    """Return the rows that every service has.

    Args:
        keyring: The keys that the service verifies with.
        shared_keyring: The keys that other services verify with, if those are different ones.
        database: The service's database, if it has one.
    """
    shared = shared_keyring or keyring

    async def live(_: web.Request) -> web.Response:
        """GET /health/live: the process is alive."""
        return body.response(LIVE, Live("live"))

    async def ready(request: web.Request) -> web.Response:
        """GET /health/ready: the service can do its work; lists the ids of its keys."""
        if isinstance(request.protocol, Protocol) and request.protocol.server_is_stopping:
            raise Stopping(
                "This service is stopping", hint="Send requests to another replica.", data={"retry_after": 1}
            )
        if database is not None:
            await database.check()
        return body.response(
            READY,
            Ready(
                "ready",
                database=None if database is None else "ok",
                keyring=_state({keyring, shared}),
                kids=shared.current.kids,
                private_kids=None if shared is keyring else keyring.current.kids,
            ),
        )

    return (
        Route("GET", "/health/live", live, PUBLIC, replies=(Reply(200, "Alive", LIVE),), uses_database=False),
        Route("GET", "/health/ready", ready, PUBLIC, replies=(Reply(200, "Ready", READY),), errors=(Stopping,)),
    )


def _state(keyrings: Collection[Keyring]) -> Literal["ok", "stale", "replaced"]:
    if any(keyring.fault is not None for keyring in keyrings):
        return "stale"
    return "replaced" if any(keyring.replaced for keyring in keyrings) else "ok"
