"""A client of auth and posts that copes with lost answers. It needs Python 3.11 and aiohttp; copy it and change it.

A service may be restarted, or lose its database, after it did what you asked and before you hear of it. So:

- A refresh is sent again with the same Idempotency-Key, and gets the same new tokens. A lost answer doesn't end the
  session.
- `create` sends an Idempotency-Key. However often it is sent again, one resource is created, and you get the first
  answer.
- `change` and `delete` send If-Match, so they take effect at most once. If the answer to the first try was lost, and
  the second is told that the resource has changed, it isn't known who changed it: `OutcomeUnknown`.
- The number of tries is limited. After the last one, a write that may have been done raises `OutcomeUnknown`. What was
  certainly not done raises `Unavailable`.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
"""Doubled after each try: about 16 s in all, longer than a service takes to restart."""

LONGEST_PAUSE_SECONDS = 30.0
"""If the service asks for a longer pause, this client gives up at once."""

TIMEOUT = ClientTimeout(total=20)
"""For one try; a service gives up on its database after 15 s at most."""

REFRESH_AT = 0.8
"""The part of an access token's lifetime after which it is replaced."""

_TRY_AGAIN = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

_random = random.SystemRandom()


class Problem(Exception):
    """The service refused. `code` is for programs; a 500 may have taken effect."""

    def __init__(self, answer: "Answer") -> None:
        body = answer.body if isinstance(answer.body, dict) else {}
        super().__init__(body.get("detail", f"status {answer.status}"))
        self.status = answer.status
        self.code: str | None = body.get("code")


class SignedOut(Exception):
    """There is no session, or it has ended. Log in."""


class Unavailable(Exception):
    """The service could not be asked, and did nothing. Try again later."""


class OutcomeUnknown(Exception):
    """A write may have been done or not.

    Args:
        message: What is unknown.
        key: For `create`: call it again with this key, within 24 hours, to find out. For the others: read the resource.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Answer:
    """An answer; `doubtful` if an earlier try may have taken effect."""

    status: int
    headers: Mapping[str, str]
    body: Any
    doubtful: bool = False

    @property
    def retry_after(self) -> float:
        """The pause that the service asks for, in seconds."""
        text = self.headers.get("Retry-After", "")
        return float(text) if text.isdecimal() else 0.0  # a proxy may send a date


@dataclass(frozen=True)
class Tokens:
    """The tokens of a session. If you store `refresh`, store `refresh_key` with it, before it is used."""

    access: str = field(repr=False)
    account: str = field(repr=False)
    refresh: str = field(repr=False)
    refresh_at: float
    expires_at: float
    refresh_key: str = field(default_factory=lambda: str(uuid.uuid4()), repr=False)
    """The key for the one refresh that this token is good for. Random, so that a stolen token doesn't reveal it."""


class Client:
    """A user's session.

    Args:
        http: Makes the connections. Several clients can share it.
        auth: Base URL of the auth service.
        posts: Base URL of the posts service.
        clock: The time in seconds.
        pause: Waits for some seconds.
    """

    def __init__(
        self,
        http: ClientSession,
        auth: str,
        posts: str,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._auth = auth
        self._posts = posts
        self._clock = clock
        self._pause = pause
        self._refreshing = asyncio.Lock()
        self.tokens: Tokens | None = None

    async def log_in(self, email: str, password: str) -> None:
        """Open a session. If the answer is lost, this opens a second one; the first expires."""
        answer = await self._tried("POST", f"{self._auth}/login", body={"email": email, "password": password})
        self.tokens = self._tokens_of(answer)

    async def log_out(self) -> None:
        """End the session. The tokens are forgotten in any case."""
        tokens, self.tokens = self.tokens, None
        if tokens is not None:
            await self._tried("POST", f"{self._auth}/logout", body={"refresh_token": tokens.refresh})

    async def read(self, path: str) -> Answer:
        """GET a path of the posts service; `ETag` in the headers goes into `change` and `delete`."""
        return await self._call("GET", path)

    async def create(self, path: str, body: object, key: str | None = None) -> Answer:
        """POST to a path of the posts service; the resource is created once.

        Raises:
            OutcomeUnknown: no answer arrived; call again with its key.
        """
        key = key or str(uuid.uuid4())
        return await self._call("POST", path, {"Idempotency-Key": key}, body)

    async def change(self, path: str, etag: str, body: object) -> Answer:
        """PATCH what still has this ETag.

        Raises:
            OutcomeUnknown: no answer arrived, or a later one said that the resource has changed.
        """
        answer = await self._call("PATCH", path, {"If-Match": etag}, body, also=(HTTPStatus.PRECONDITION_FAILED,))
        if answer.status == HTTPStatus.PRECONDITION_FAILED:
            if answer.doubtful:
                raise OutcomeUnknown(f"{path} has changed, perhaps by an earlier try; read it")
            raise Problem(answer)
        return answer

    async def delete(self, path: str, etag: str) -> None:
        """DELETE what still has this ETag. That it is gone already is no error.

        Raises:
            OutcomeUnknown: no answer arrived.
        """
        # it may be gone because of an earlier try; of some, this client doesn't know, because aiohttp repeats a DELETE
        # by itself if the service closes a connection that was open
        await self._call("DELETE", path, {"If-Match": etag}, also=(HTTPStatus.NOT_FOUND,))

    async def access_token(self) -> str:
        """Return an access token that is still good for a while.

        Raises:
            SignedOut: there is no session, or it has ended.
            Unavailable: the token has expired, and auth can't be reached. The session goes on once it can.
        """
        async with self._refreshing:  # one at a time; the others find the new token
            if self.tokens is None:
                raise SignedOut("Log in first")
            if self._clock() < self.tokens.refresh_at:
                return self.tokens.access
            still_good = self._clock() < self.tokens.expires_at
            try:
                await self._refresh(self.tokens, tries=1 if still_good else TRIES)
            except Unavailable:
                if not still_good:
                    raise
            return self.tokens.access

    async def _refresh(self, tokens: Tokens, tries: int) -> None:
        # until an answer arrives, the key stays with the token: the next try, even hours later, sends both again
        headers = {"Idempotency-Key": tokens.refresh_key}
        body = {"refresh_token": tokens.refresh}
        try:
            answer = await self._tried("POST", f"{self._auth}/refresh", headers, body, tries=tries)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        except Problem as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:
                raise
            if self.tokens is tokens:
                self.tokens = None
            raise SignedOut(str(problem)) from problem
        if self.tokens is not tokens:
            raise SignedOut("Logged out meanwhile")
        self.tokens = self._tokens_of(answer)

    def _tokens_of(self, answer: Answer) -> Tokens:
        now, lifetime = self._clock(), answer.body["expires_in"]
        return Tokens(
            access=answer.body["access_token"],
            account=answer.body["account_token"],
            refresh=answer.body["refresh_token"],
            refresh_at=now + lifetime * REFRESH_AT,
            expires_at=now + lifetime,
        )

    async def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        *,
        also: tuple[int, ...] = (),
    ) -> Answer:
        """Call the posts service with an access token; answers with a status in `also` are returned, not raised.

        Raises:
            ValueError: the path doesn't begin with a slash, so it could change the host that gets the token.
        """
        if not path.startswith("/"):
            raise ValueError(f"the path must begin with a slash, not with {path[:1]!r}")
        sent = {**(headers or {}), "Authorization": f"Bearer {await self.access_token()}"}
        return await self._tried(method, self._posts + path, sent, body, also=also)

    async def _tried(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        *,
        tries: int = TRIES,
        also: tuple[int, ...] = (),
    ) -> Answer:
        doubtful, said = False, ""
        for number in range(1, tries + 1):
            asked_for = 0.0
            try:
                answer = await self._send(method, url, headers, body)
            except (ClientError, TimeoutError) as error:
                # without a connection, nothing was sent
                doubtful |= not isinstance(error, ClientConnectorError)
                said = str(error) or type(error).__name__
            else:
                if answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in also:
                    return Answer(answer.status, answer.headers, answer.body, doubtful)
                problem = Problem(answer)
                if answer.status not in _TRY_AGAIN:
                    raise problem
                # these two say that nothing was done
                doubtful |= answer.status != HTTPStatus.TOO_MANY_REQUESTS and problem.code != "busy"
                said = str(problem)
                asked_for = answer.retry_after
            if number == tries or asked_for > LONGEST_PAUSE_SECONDS:
                break
            # at random, so that all the clients of a service that was down don't come back at once
            await self._pause(max(asked_for, FIRST_PAUSE_SECONDS * 2 ** (number - 1)) * _random.uniform(1, 1.2))
        if doubtful and method != "GET":
            raise OutcomeUnknown(f"{method} {url}: {said}", (headers or {}).get("Idempotency-Key"))
        raise Unavailable(f"{method} {url}: {said}")

    async def _send(self, method: str, url: str, headers: Mapping[str, str] | None, body: object) -> Answer:
        data = None if body is None else json.dumps(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        # a redirect could take passwords and tokens to another host, and turn a POST into a GET
        async with self._http.request(
            method, url, headers=sent, data=data, timeout=TIMEOUT, allow_redirects=False
        ) as response:
            text = await response.text()
            is_json = response.content_type.endswith(("/json", "+json"))  # a proxy may answer with a page
            return Answer(response.status, response.headers, json.loads(text) if is_json and text else None)
