"""Serve both services and the console for the browser."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from console.app import create_app
from console.settings import Settings
from dev import service_process as processes
from shared.http.application import Clock
from tests.api_client import auth_app, posts_app, served
from tests.postgres import Server


@dataclass(frozen=True)
class Stage:
    """The base URLs of both services and the console."""

    auth: str
    posts: str
    console: str


@asynccontextmanager
async def console(auth: str, posts: str, port: int, gallery: Path | None = None) -> AsyncIterator[Stage]:
    """Serve the console on this port, in this process."""
    settings = {"AUTH_URL": auth, "POSTS_URL": posts, "GALLERY_FILE": gallery}
    runner = web.AppRunner(create_app(Settings.model_validate(settings)))
    await runner.setup()
    try:
        await web.TCPSite(runner, processes.HOST, port).start()
        yield Stage(auth, posts, origin(port))
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stage(
    server: Server, keyring: Path, *, gallery: Path | None = None, clock: Clock = time.time, **auth_changes: Any
) -> AsyncIterator[Stage]:
    """Serve both services and the console in this process.

    Args:
        server: The Postgres server for their databases.
        keyring: The key file.
        gallery: The gallery file of the console.
        clock: The clock for token times at both services.
        auth_changes: Settings of auth that differ from the defaults.
    """
    port = processes.free_port()
    databases = await server.create_database(), await server.create_database()
    allowed = {"cors_origins": origin(port)}
    # the browser connects directly, without a proxy
    auth_settings = {**allowed, "trusted_proxies": 0, **auth_changes}
    async with (
        served(auth_app(databases[0], keyring, clock, **auth_settings)) as auth,
        served(posts_app(databases[1], keyring, clock, **allowed)) as posts,
        console(auth, posts, port, gallery) as made,
    ):
        yield made
    for database in databases:
        await server.drop_database(database)


def origin(port: int) -> str:
    """Return the origin of a page that is served on this port."""
    return f"http://{processes.HOST}:{port}"
