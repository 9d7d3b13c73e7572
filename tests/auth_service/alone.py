"""The auth service by itself, on a real socket, with access to its database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
from aiohttp import ClientSession, web

from auth_service.model import Role
from shared.base64url import decode
from shared.database.pool import Connection, Database
from tests.api_client import PASSWORD, Pair, Reply, auth_app, new_email, served
from tests.auth_service.hashing import COST, CountingHasher


@dataclass(frozen=True)
class Tokens:
    """The tokens from a log-in or a refresh."""

    access: str
    account: str
    refresh: str

    @property
    def claims(self) -> dict[str, Any]:
        """What stands in the access token."""
        return claims_of(self.access)

    @property
    def account_claims(self) -> dict[str, Any]:
        """What stands in the account token."""
        return claims_of(self.account)

    @property
    def session(self) -> UUID:
        """The session's id."""
        return UUID(self.claims["sid"])


@dataclass(frozen=True)
class Member:
    """A registered user who has logged in once."""

    id: UUID
    email: str
    tokens: Tokens


@dataclass
class Auth(Pair):
    """A client of the service, with access to its application, hasher and database."""

    app: web.Application = field(repr=False)
    hasher: CountingHasher = field(repr=False)
    database: asyncpg.Connection = field(repr=False)

    async def ask(self, method: str, path: str, json: object = None, token: str | None = None, **more: Any) -> Reply:
        """Send one request."""
        return await self.call(method, self.auth + path, json, token, **more)

    async def sign_in(self, email: str, password: str = PASSWORD, **headers: str) -> Tokens:
        """Log in and return the tokens."""
        reply = await self.ask("POST", "/login", {"email": email, "password": password}, headers=headers)
        return tokens_of(reply)

    async def join(self, name: str = "Ada", role: Role = "user") -> Member:
        """Register a new user, set the role, and log in."""
        email = new_email()
        account = await self.register(email, name=name)
        assert account.status == 201, account
        if role != "user":
            await self.database.execute("UPDATE users SET role = $2 WHERE id = $1", account.body["id"], role)
        return Member(UUID(account.body["id"]), email, await self.sign_in(email))

    async def refresh(self, token: str, **headers: str) -> Reply:
        """POST /refresh."""
        return await self.ask("POST", "/refresh", {"refresh_token": token}, headers=headers)

    async def renewed(self, token: str, **headers: str) -> Tokens:
        """Refresh and return the new tokens."""
        return tokens_of(await self.refresh(token, **headers))

    async def me(self, token: str) -> Reply:
        """GET /me."""
        return await self.ask("GET", "/me", token=token)

    async def let_grace_end(self, session: UUID) -> None:
        """Move the last rotation two minutes back, past the grace period."""
        await self.database.execute(
            "UPDATE sessions SET rotated_at = now() - interval '2 minutes' WHERE id = $1 AND rotated_at IS NOT NULL",
            session,
        )

    async def keep_grace(self, session: UUID) -> None:
        """Extend the grace period of the last rotation to an hour, so that no test has to be fast."""
        await self.database.execute(
            "UPDATE sessions SET rotated_at = now() + interval '1 hour' WHERE id = $1 AND rotated_at IS NOT NULL",
            session,
        )

    async def expire(self, session: UUID) -> None:
        """Make a session expire."""
        await self.database.execute(
            "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1", session
        )

    async def sessions_of(self, user: UUID) -> set[UUID]:
        """The ids of the user's sessions, expired ones included."""
        rows = await self.database.fetch("SELECT id FROM sessions WHERE user_id = $1", user)
        return {row["id"] for row in rows}

    async def events_of(self, user: UUID) -> list[asyncpg.Record]:
        """The user's audit events, oldest first."""
        rows: list[asyncpg.Record] = await self.database.fetch(
            "SELECT * FROM audit_events WHERE user_id = $1 ORDER BY id", user
        )
        return rows


class Frozen(Database):
    """A database whose clock stands still, because everything runs in one transaction on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend the one connection."""
        yield self._connection


@asynccontextmanager
async def frozen(database: asyncpg.Connection) -> AsyncIterator[Frozen]:
    """Freeze the database's clock for the duration of the block, then roll everything back."""
    transaction = database.transaction()
    await transaction.start()
    try:
        yield Frozen(cast("Connection", database))
    finally:
        await transaction.rollback()


@asynccontextmanager
async def alone(
    database_url: str, keyring: Path, hasher: CountingHasher | None = None, **changes: Any
) -> AsyncIterator[Auth]:
    """Serve auth on this database for the duration of the block; `changes` are settings."""
    hasher = hasher or CountingHasher(changes.get("bcrypt_cost", COST))
    app = auth_app(database_url, keyring, hasher=hasher, **changes)
    async with served(app) as auth, ClientSession() as http:
        database = await asyncpg.connect(database_url)
        try:
            yield Auth(auth, "", http, app, hasher, database)
        finally:
            await database.close()


def tokens_of(reply: Reply) -> Tokens:
    """The tokens of a successful log-in or refresh."""
    assert reply.status == 200, reply
    return Tokens(reply.body["access_token"], reply.body["account_token"], reply.body["refresh_token"])


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    claims: dict[str, Any] = json.loads(decode(token.split(".")[1]))
    return claims


def says(reply: Reply) -> tuple[int, str]:
    """The status and code of an error."""
    return reply.status, reply.code


def without_id(reply: Reply) -> tuple[int, Any]:
    """The status and body of an error, without its request id."""
    return reply.status, {**reply.body, "request_id": None}
