"""The files of a page, each handed out as what the ending of its name says it is."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

# by hand: what the machine's own table calls .js may be anything, and a browser then runs no script
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def handler(path: Path, headers: Mapping[str, str] | None = None) -> Handler:
    """Make what answers with this file, of one of TYPES.

    Args:
        path: The file.
        headers: Those that come on top.
    """
    all_headers = {**(headers or {}), hdrs.CONTENT_TYPE: TYPES[path.suffix]}

    async def show(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=all_headers)

    return show
