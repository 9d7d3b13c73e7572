"""What whoever runs the service asks it: whether it lives, and whether it can work."""

from aiohttp import web

from shared.database import Database
from shared.keyring import Keyring
from shared.routes import PUBLIC, Route


def routes(keyring: Keyring, database: Database | None) -> tuple[Route, ...]:
    """The rows of the route table that every service has."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        if database is not None:
            await database.check()
        return web.json_response(
            {
                "status": "ready",
                **({"database": "ok"} if database else {}),
                # stale: what stands in the file now can't be used, and the keys from before still are
                "keyring": "ok" if keyring.fault is None else "stale",
                "kids": keyring.current.kids,
            }
        )

    return (Route("GET", "/health/live", live, PUBLIC), Route("GET", "/health/ready", ready, PUBLIC))
