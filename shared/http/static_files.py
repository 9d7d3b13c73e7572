"""Serving the files of a page."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

# not the machine's own table, which may call .js anything, and a browser then refuses to run it
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def handler(path: Path, headers: Mapping[str, str] | None = None) -> Handler:
    """Make a handler that serves this file whole, or 304 to a client that has it.

    aiohttp's own file responses also support ranges, and refuse an invalid one without a body.

    Args:
        path: The file; its ending must be in TYPES. It is read once, now.
        headers: Headers to add.
    """
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    all_headers = {**(headers or {}), hdrs.CONTENT_TYPE: TYPES[path.suffix], hdrs.ETAG: etag}

    async def show(request: web.Request) -> web.Response:
        if request.headers.get(hdrs.IF_NONE_MATCH) == etag:
            return web.Response(status=304, headers=all_headers)
        return web.Response(body=content, headers=all_headers)

    return show
