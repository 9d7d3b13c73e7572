"""What the page is shown on: a pair of services that allow the console's origin, and the console in front of them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from console.app import create_app
from console.settings import Settings
from dev import pair as processes
from shared.service import Clock
from tests.pair import auth_app, posts_app, served
from tests.postgres import Server


@dataclass(frozen=True)
class Stage:
    """Three base URLs."""

    auth: str
    posts: str
    console: str


@asynccontextmanager
async def console(auth: str, posts: str, port: int, gallery: Path | None = None) -> AsyncIterator[Stage]:
    """Serve the console on a port, in this process."""
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
        server: Where their databases are made.
        keyring: The key file.
        gallery: The console's gallery.
        clock: What token times go by, at both services.
        auth_changes: Settings of auth that differ.
    """
    port = processes.free_port()
    databases = await server.create_database(), await server.create_database()
    allowed = {"cors_origins": origin(port)}
    # the browser's own address counts, as for anybody at home: there is no proxy here
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
    """The origin of a page that is served on this machine."""
    return f"http://{processes.HOST}:{port}"
