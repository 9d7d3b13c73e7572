"""The files of a page, each handed out as what the ending of its name says it is."""

import hashlib
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
    """Make what answers with this file, of one of TYPES, as it is now; whole, or 304 to whoever has it.

    aiohttp's own file answers know ranges too, and refuse a wrong one without a body.

    Args:
        path: The file.
        headers: Those that come on top.
    """
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    all_headers = {**(headers or {}), hdrs.CONTENT_TYPE: TYPES[path.suffix], hdrs.ETAG: etag}

    async def show(request: web.Request) -> web.Response:
        if request.headers.get(hdrs.IF_NONE_MATCH) == etag:
            return web.Response(status=304, headers=all_headers)
        return web.Response(body=content, headers=all_headers)

    return show
