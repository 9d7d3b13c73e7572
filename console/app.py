"""The console's server: the page's files, its configuration, and its security headers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from console.settings import Settings
from shared.http import protocol_errors, static_files
from shared.tokens.checks import CHECKS

PAGE = Path(__file__).parent / "page"


def create_app(settings: Settings) -> web.Application:
    """Build the server.

    Raises:
        StartupError: the gallery can't be read.
    """
    gallery = settings.gallery()
    config = {
        "auth": settings.auth_url,
        "posts": settings.posts_url,
        "gallery": None if gallery is None else [exhibit.model_dump() for exhibit in gallery],
    }

    async def show_config(_: web.Request) -> web.Response:
        return web.json_response(config)

    async def show_checks(_: web.Request) -> web.Response:
        return web.json_response([{"number": c.number, "name": c.name, "sentence": c.sentence} for c in CHECKS])

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    app = web.Application()
    app.router.add_get("/config.json", show_config)
    app.router.add_get("/checks.json", show_checks)
    app.router.add_get("/health/live", live)
    app.router.add_get("/", static_files.handler(PAGE / "index.html"))
    # the folder is listed once at start, and each file gets its own route, so that no request can reach other files
    for file in sorted(PAGE.iterdir()):
        if file.suffix in static_files.TYPES and file.name != "index.html":
            app.router.add_get(f"/{file.name}", static_files.handler(file))
    app.on_response_prepare.append(_finish_headers(_policy(settings)))
    app.on_response_prepare.append(protocol_errors.without_server_header)
    return app


def _policy(settings: Settings) -> str:
    """Build a Content-Security-Policy: scripts, styles and images only from here, calls also to both services."""
    services = " ".join(dict.fromkeys(_origin(url) for url in (settings.auth_url, settings.posts_url)))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {services}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _finish_headers(policy: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        hdrs.CACHE_CONTROL: "no-cache",
    }

    async def finish(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)

    return finish
