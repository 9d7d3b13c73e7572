"""The console's server: the files of the page, what the page is told, and the headers that hold it in."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from console.settings import Settings
from shared import files, wire

PAGE = Path(__file__).parent / "page"

# replaced on main by shared.tokens.checks
CHECKS = (
    ("Size", "The token has at most 4096 bytes, all ASCII."),
    ("Three segments", "The token has three segments, each of canonical base64url without padding."),
    ("Header", "The header is one JSON object without duplicate names."),
    ("Header members", "The header has none of crit, jku, jwk, x5u, x5c, b64."),
    ("typ", "The header's typ is at+jwt."),
    ("kid", "The header's kid names a key of this service."),
    ("alg", "The header's alg is the algorithm of that key."),
    ("Signature", "The signature matches the exact bytes of the header and the payload."),
    ("Payload", "The payload is one JSON object without duplicate names."),
    ("Claims present", "No required claim is missing."),
    ("Claims valid", "Each claim has the right type and a valid value."),
    ("iss and aud", "The token was issued by the expected issuer, for this service."),
    ("Times", "The token is valid now, and for at most 24 hours in all."),
)
"""The checks of the token verifier in their order: name and sentence."""


def create_app(settings: Settings) -> web.Application:
    """Build the server.

    Raises:
        StartupError: the gallery can't be read.
    """
    wire.install()
    gallery = settings.gallery()
    config = {
        "auth": settings.auth_url,
        "posts": settings.posts_url,
        "gallery": None if gallery is None else [exhibit.model_dump() for exhibit in gallery],
    }

    async def show_config(_: web.Request) -> web.Response:
        return web.json_response(config)

    checks = [
        {"number": number, "name": name, "sentence": sentence}
        for number, (name, sentence) in enumerate(CHECKS, start=1)
    ]

    async def show_checks(_: web.Request) -> web.Response:
        return web.json_response(checks)

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    app = web.Application()
    app.router.add_get("/config.json", show_config)
    app.router.add_get("/checks.json", show_checks)
    app.router.add_get("/health/live", live)
    app.router.add_get("/", files.handler(PAGE / "index.html"))
    # one route for each file, found at start: there is no path that a request could lead astray
    for file in sorted(PAGE.iterdir()):
        if file.suffix in files.TYPES and file.name != "index.html":
            app.router.add_get(f"/{file.name}", files.handler(file))
    app.on_response_prepare.append(_finish_headers(_policy(settings)))
    app.on_response_prepare.append(wire.without_name)
    return app


def _policy(settings: Settings) -> str:
    """The Content-Security-Policy: scripts and styles of this server alone, calls to the two services alone."""
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
