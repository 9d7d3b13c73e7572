"""What the page is shown on: a pair of services that allow the console's origin, and the console in front of them."""

import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, async_playwright

from console.app import create_app
from console.settings import ConsoleSettings
from dev import pair as processes
from shared.service import Clock
from tests.attacks import forge
from tests.pair import auth_app, posts_app, served
from tests.postgres import Server

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Where this machine's own Chromium is: CHROMIUM says so, or the path does."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    """Run a browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        await browser.close()


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
    runner = web.AppRunner(create_app(ConsoleSettings.model_validate(settings)))
    await runner.setup()
    try:
        await web.TCPSite(runner, processes.HOST, port).start()
        yield Stage(auth, posts, origin(port))
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stage(
    server: Server, keyring: Path, *, gallery: Path | None = None, clock: Clock | None = None, **auth_changes: Any
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


def write_gallery(file: Path, keyring: Path, now: float) -> None:
    """Sign four tokens with the first key of the keyring, each well, and none to be believed."""
    [key] = json.loads(keyring.read_text())["keys"]
    secret = base64.urlsafe_b64decode(key["k"] + "=" * (-len(key["k"]) % 4))
    header = {"alg": "HS256", "typ": "at+jwt", "kid": key["kid"]}
    claims = {**forge.CLAIMS, "iat": int(now), "exp": int(now) + 900}
    twice = json.dumps(claims)[:-1] + ', "name": "Somebody else"}'
    payloads: dict[str, Any] = {
        "Wrong audience": {**claims, "aud": ["billing"]},
        "No expiry": {**claims, "exp": forge.ABSENT},
        "A claim twice": twice.encode(),
        "Not yet valid": {**claims, "nbf": int(now) + 600},
    }
    exhibits = [
        {
            "name": name,
            "about": f"{name}, and the signature is good.",
            "token": forge.token(header, what, secret=secret),
        }
        for name, what in payloads.items()
    ]
    file.write_text(json.dumps(exhibits))
