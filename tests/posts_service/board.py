"""Two replicas of the posts service, users with tokens of any scope, and direct access to the database."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from shared.base64url import decode
from tests.api_client import Pair, Reply, SignedIn
from tests.attacks import forge

BOTH = "posts:read posts:write"
MODERATOR = f"{BOTH} posts:moderate"

UNLIMITED = {"WRITES_BURST": "1000000"}
"""Settings of a service whose users may write as often as they like."""


@dataclass(frozen=True)
class Raw:
    """A response exactly as received."""

    status: int
    headers: Any
    body: bytes

    @property
    def same_each_time(self) -> tuple[int, str | None, str | None, bytes]:
        """The parts of the response that must be identical when an idempotent request is repeated."""
        return self.status, self.headers.get("Location"), self.headers.get("ETag"), self.body


@dataclass
class Board:
    """A client of the posts service.

    Args:
        pair: The HTTP client.
        database_url: The service's database.
        keyring: The key file that signs the users' tokens.
        replica: Base URL of a second service on the same database.
    """

    pair: Pair
    database_url: str
    keyring: Path = field(repr=False)
    replica: str = ""

    @property
    def url(self) -> str:
        """The URL of the posts collection."""
        return f"{self.pair.posts}/posts"

    def person(self, name: str = "Ada", scope: str = BOTH, user_id: str | None = None) -> SignedIn:
        """A user with a token, signed with the shared secret instead of issued by the auth service."""
        return person(self.keyring, name, scope, user_id)

    async def call(self, method: str, who: SignedIn, path: str = "", json: object = None, **options: Any) -> Reply:
        """Send one request; `path` is appended to /posts."""
        return await self.pair.call(method, self.url + path, json, who.token, **options)

    async def write(self, who: SignedIn, title: str = "A title", body: str = "Some text", **more: Any) -> Any:
        """Write a post and return it as the service does."""
        reply = await self.pair.post(who.token, title, body, **more)
        assert reply.status == 201, reply
        return reply.body

    async def raw(self, method: str, who: SignedIn, path: str = "", base: str = "", **options: Any) -> Raw:
        """Send one request and return the response unparsed."""
        headers = {"Authorization": f"Bearer {who.token}", **options.pop("headers", {})}
        url = f"{base or self.pair.posts}/posts{path}"
        async with self.pair.http.request(method, url, headers=headers, **options) as response:
            return Raw(response.status, response.headers, await response.read())

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection to the service's database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, statement: str, *arguments: object) -> str:
        """Execute a statement directly on the database."""
        async with self.database() as connection:
            return await connection.execute(statement, *arguments)

    async def count(self, statement: str, *arguments: object) -> int:
        """Fetch a number directly from the database."""
        async with self.database() as connection:
            return int(await connection.fetchval(statement, *arguments))


def person(keyring: Path, name: str = "Ada", scope: str = BOTH, user_id: str | None = None) -> SignedIn:
    """A user with a token that is valid for 15 minutes."""
    key = loads(keyring.read_text())["keys"][0]
    now = int(time.time())
    who = user_id or str(uuid4())
    token = forge.token(
        {**forge.HEADER, "kid": key["kid"]},
        {**forge.CLAIMS, "sub": who, "name": name, "scope": scope, "iat": now, "exp": now + 900},
        secret=decode(key["k"]),
    )
    return SignedIn(who, "", name, token)
