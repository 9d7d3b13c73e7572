"""The OpenAPI document at /openapi.json, and a page that shows it with Swagger UI at /docs."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from aiohttp import hdrs, web

from shared.errors import StartupError
from shared.http import openapi, static_files
from shared.http.routes import JSON, PUBLIC, Handler, Reply, Route
from shared.tokens.verifier import Verifier

PACKAGE = "flask-swagger-ui"
"""Nothing in it is imported; only its static files are served."""

_OURS = Path(__file__).parent
_HEADERS = {
    # Swagger UI's icons are data: URLs, and its scripts set styles
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}


def routes(verifier: Verifier, description: str, table: Sequence[Route], *, page: bool) -> tuple[Route, ...]:
    """Return the rows for the document and its page.

    Args:
        verifier: Has the service's name, and the name of the token that it accepts.
        description: What it does, in Markdown.
        table: The rows to document.
        page: Whether /docs exists.

    Raises:
        StartupError: the page is wanted, but its files are not installed.
    """
    content = json.dumps(
        openapi.document(verifier.audience, description, table, verifier.accepts), ensure_ascii=False
    ).encode()

    async def document(_: web.Request) -> web.Response:
        """GET /openapi.json: this document."""
        return web.Response(body=content, content_type=JSON)

    rows = [_row("/openapi.json", document)]
    if page:
        rows += [_row(path, static_files.handler(file, _HEADERS)) for path, file in _files().items()]
    return tuple(rows)


def _row(path: str, handler: Handler) -> Route:
    return Route("GET", path, handler, PUBLIC, replies=(Reply(200, "The file"),), uses_database=False)


def _files() -> Mapping[str, Path]:
    try:
        dist = Path(str(distribution(PACKAGE).locate_file("flask_swagger_ui/dist")))
    except PackageNotFoundError:
        raise StartupError(
            f"/docs needs the files of the package {PACKAGE}: pip install --no-deps -r requirements/docs.txt, or set"
            " DOCS=false"
        ) from None
    return {
        "/docs": _OURS / "index.html",
        "/docs/start.js": _OURS / "start.js",
        "/docs/style.css": _OURS / "style.css",
        "/docs/swagger-ui.css": dist / "swagger-ui.css",
        "/docs/swagger-ui-bundle.js": dist / "swagger-ui-bundle.js",
        "/docs/favicon.png": dist / "favicon-32x32.png",
    }
