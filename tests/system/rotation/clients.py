"""The load: clients that log in, read and write, and renew their token in good time."""

import asyncio
import json
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from shared.base64url import decode
from tests.api_client import PASSWORD, Pair, new_email
from tests.system.rotation.figures import Figures

PAUSE_SECONDS = 0.1
"""Pause of a client after each request, so that two slow cores can serve all of them."""

ARRIVAL_SECONDS = 0.3
"""Between the first requests of two clients, to spread their log-ins."""


class Client:
    """A user who logs in, reads and writes, taking the replicas in turn.

    Args:
        number: Its number, from 0.
        replicas: Base URLs of an auth service and a posts service each.
        figures: Where the requests are counted.
    """

    def __init__(self, number: int, replicas: Sequence[tuple[str, str]], figures: Figures) -> None:
        self.kid: str | None = None
        """The key that signed its current token."""
        self.is_done = False
        """Set to let the client finish its round and end."""
        self._number = number
        self._replicas = replicas
        self._figures = figures
        self._email = new_email()
        self._token: str | None = None
        self._account_token: str | None = None
        self._renewal = 0.0

    async def run(self) -> None:
        """Send requests until `is_done`."""
        await asyncio.sleep(self._number * ARRIVAL_SECONDS)
        async with ClientSession(timeout=ClientTimeout(total=10)) as http:
            pairs = cycle([Pair(auth, posts, http) for auth, posts in self._replicas])
            account = {"email": self._email, "password": PASSWORD, "name": "A client"}
            await self._send(next(pairs), "POST /register", account, expected=201)
            while not self.is_done:
                await self._call(next(pairs), "GET /me")
                written = await self._call(next(pairs), "POST /posts", {"title": "A title", "body": "A"}, expected=201)
                await self._call(next(pairs), "GET /posts")
                if written:
                    await self._call(next(pairs), f"GET /posts/{written['id']}")

    async def _call(self, pair: Pair, request: str, body: object = None, expected: int = 200) -> dict[str, Any]:
        if self._token is None or time.monotonic() > self._renewal:
            await self._log_in(pair)
        token = self._token if "/posts" in request else self._account_token
        answer = await self._send(pair, request, body, expected, token)
        await asyncio.sleep(PAUSE_SECONDS)
        return answer

    async def _log_in(self, pair: Pair) -> None:
        step, began = self._figures.step, time.monotonic()
        is_forced = self._token is None and self.kid is not None
        step.forced += is_forced
        step.planned += not is_forced
        answer = await self._send(pair, "POST /login", {"email": self._email, "password": PASSWORD})
        if answer:
            self._token, self._account_token = str(answer["access_token"]), str(answer["account_token"])
            self.kid = str(json.loads(decode(self._token.partition(".")[0]))["kid"])
            self._renewal = began + answer["expires_in"] / 2  # early: on a busy machine, a request may take seconds
            step.tokens[self.kid] += 1

    async def _send(
        self, pair: Pair, request: str, body: object = None, expected: int = 200, token: str | None = None
    ) -> dict[str, Any]:
        """Send and count a request. Return the body of the answer, or nothing if it is not the expected one."""
        step, (method, path) = self._figures.step, request.split()
        base = pair.posts if path.startswith("/posts") else pair.auth
        named = f"{method} /posts/{{id}}" if path.startswith("/posts/") else request
        step.requests[named] += 1
        try:
            reply = await pair.call(method, base + path, body, token)
        except (ClientError, TimeoutError, ValueError) as error:
            step.failures.append(f"[{step.name}] {named}: no answer, {type(error).__name__}")
            return {}
        if reply.status != expected:
            step.failures.append(f"[{step.name}] {named}: {reply.status} {reply.code}")
            if reply.status == 401:
                self._token = None
            return {}
        answer: dict[str, Any] = reply.body
        return answer
