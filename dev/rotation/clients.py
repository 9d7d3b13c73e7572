"""The load: clients as they are out there, which log in, read and write, and plan their next log-in."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import aiohttp

from dev.rotation.figures import Figures
from shared.base64url import decode

PAUSE_SECONDS = 0.1
"""What a client waits after each request, so that two slow cores manage all of them."""

ARRIVAL_SECONDS = 0.3
"""Between one client's first request and the next one's, so that their log-ins are spread over all the time."""

READY = "GET /health/ready"
_EXPECTED = {"POST /register": HTTPStatus.CREATED, "POST /posts": HTTPStatus.CREATED}
"""The status that a request has to be answered with, where it is not 200."""

Answer = dict[str, Any]


class Client:
    """Somebody who logs in, reads and writes, each time at the replica whose turn it is.

    Args:
        number: Which client it is, from 0.
        auth: Base URLs of the auth service; the next one is that of the replica whose turn it is.
        posts: The same of the posts service.
        figures: Where the requests are counted.
    """

    def __init__(self, number: int, auth: Iterator[str], posts: Iterator[str], figures: Figures) -> None:
        self.kid: str | None = None
        """The key that signed its present token."""
        self.is_done = False
        """Whether it is to end after the present round."""
        self._number = number
        self._auth = auth
        self._posts = posts
        self._figures = figures
        self._account = {"email": f"client{number}@example.com", "password": secrets.token_urlsafe(16)}
        self._token: str | None = None
        self._renewal = 0.0

    async def run(self) -> None:
        """Work until it is done."""
        await asyncio.sleep(self._number * ARRIVAL_SECONDS)
        async with connections() as http:
            account = {**self._account, "name": "A client"}
            await send(http, self._figures, "POST /register", f"{next(self._auth)}/register", body=account)
            while not self.is_done:
                await self._call(http, "GET /me", f"{next(self._auth)}/me")
                post = {"title": "A title", "body": "Some text"}
                written = await self._call(http, "POST /posts", f"{next(self._posts)}/posts", post)
                await self._call(http, "GET /posts", f"{next(self._posts)}/posts")
                if written:
                    await self._call(http, "GET /posts/{id}", f"{next(self._posts)}/posts/{written['id']}")

    async def _call(self, http: aiohttp.ClientSession, request: str, url: str, body: object = None) -> Answer:
        if self._token is None or time.monotonic() > self._renewal:
            await self._log_in(http)
        status, answer = await send(http, self._figures, request, url, body=body, token=self._token)
        if status == HTTPStatus.UNAUTHORIZED:
            self._token = None
        await asyncio.sleep(PAUSE_SECONDS)
        return answer

    async def _log_in(self, http: aiohttp.ClientSession) -> None:
        step, began = self._figures.step, time.monotonic()
        is_forced = self._token is None and self.kid is not None
        step.forced += is_forced
        step.planned += not is_forced
        _, answer = await send(http, self._figures, "POST /login", f"{next(self._auth)}/login", body=self._account)
        if answer:
            self._token = str(answer["access_token"])
            self.kid = str(json.loads(decode(self._token.partition(".")[0]))["kid"])
            # early: on a machine that is busy, a request may be under way for seconds
            self._renewal = began + answer["expires_in"] / 2
            step.tokens[self.kid] += 1


def connections() -> aiohttp.ClientSession:
    """Connections of one client, to all replicas."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


async def send(
    http: aiohttp.ClientSession,
    figures: Figures,
    request: str,
    url: str,
    *,
    body: object = None,
    token: str | None = None,
) -> tuple[int, Answer]:
    """Send a request and count it; readiness is counted only if it fails.

    Args:
        http: The connections to use.
        figures: Where it is counted, in the present step.
        request: Method and path, as the figures name it.
        url: The address.
        body: Sent as JSON.
        token: Sent as Bearer.

    Returns:
        The status, 0 where there was no answer; and the body, empty unless the answer was the expected one.
    """
    method, step = request.partition(" ")[0], figures.step
    if request != READY:
        step.requests[request] += 1
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with http.request(method, url, json=body, headers=headers) as response:
            status, answer = response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        step.failures.append(f"[{step.name}] {request}: no answer, {type(error).__name__}")
        return 0, {}
    if status != _EXPECTED.get(request, HTTPStatus.OK):
        step.failures.append(f"[{step.name}] {request}: {status} {answer.get('code')}")
        return status, {}
    return status, answer
