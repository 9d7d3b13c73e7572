"""What whoever runs the service asks it: whether it lives, and whether it can work."""

from collections.abc import Callable

from aiohttp import web

from shared.database import Database
from shared.keyring import KeySet
from shared.routes import PUBLIC, Route


def routes(database: Database, keys: Callable[[], KeySet]) -> tuple[Route, ...]:
    """The rows of the route table that every service has."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        await database.check()
        return web.json_response({"status": "ready", "database": "ok", "kids": keys().kids})

    return (Route("GET", "/health/live", live, PUBLIC), Route("GET", "/health/ready", ready, PUBLIC))
