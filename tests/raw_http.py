"""Raw HTTP, for requests that a client library would not send."""

import asyncio


async def exchange(base: str, data: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """Send bytes; return the answer's status line, headers and body."""
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return status, dict(line.decode().split(": ", 1) for line in headers), body
