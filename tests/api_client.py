"""Both services on real sockets, and a client for their base URLs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from json import dumps
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

import auth_service.app
import auth_service.settings
import posts_service.app
import posts_service.settings
from auth_service.passwords import PasswordHasher
from dev.service_process import account_keyring
from shared.http.application import Clock
from shared.http.server import Runner, begin
from tests.openapi import documents
from tests.postgres import settings_for

PASSWORD = "a long enough passphrase"
_numbers = count(1)


@dataclass(frozen=True)
class Reply:
    """An answer with its whole body."""

    status: int
    headers: Any
    body: Any

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["code"])


@dataclass(frozen=True)
class SignedIn:
    """A registered user with a token."""

    id: str
    email: str
    name: str
    token: str
    """The access token."""
    account_token: str = ""


@dataclass
class Pair:
    """A client for the two base URLs."""

    auth: str
    posts: str
    http: ClientSession = field(repr=False)

    async def call(self, method: str, url: str, json: object = None, token: str | None = None, **options: Any) -> Reply:
        """Send one request to a full URL, and check that the answer fits that service's OpenAPI document."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        headers.setdefault("X-Forwarded-For", new_address())
        if json is not None:
            headers.setdefault("Content-Type", "application/json")
            options["data"] = dumps(json).encode()
        if isinstance(options.get("data"), bytes):
            options["data"] = BytesIO(options["data"])
        async with self.http.request(method, url, headers=headers, **options) as response:
            body = await response.json(content_type=None) if await response.read() else None
            for service, base in (("auth", self.auth), ("posts", self.posts)):
                if url.startswith(f"{base}/"):
                    asked = method, response.url.path
                    documents.check(service, asked, status=response.status, headers=response.headers, body=body)
            return Reply(response.status, response.headers, body)

    async def register(self, email: str, password: str = PASSWORD, name: str = "Ada") -> Reply:
        """POST /register."""
        return await self.call("POST", f"{self.auth}/register", {"email": email, "password": password, "name": name})

    async def login(self, email: str, password: str = PASSWORD) -> Reply:
        """POST /login."""
        return await self.call("POST", f"{self.auth}/login", {"email": email, "password": password})

    async def sign_up(self, name: str = "Ada") -> SignedIn:
        """Register a new user and log in."""
        email = new_email()
        account = await self.register(email, name=name)
        assert account.status == 201, account
        tokens = await self.login(email)
        assert tokens.status == 200, tokens
        return SignedIn(account.body["id"], email, name, tokens.body["access_token"], tokens.body["account_token"])

    async def post(self, token: str, title: str = "A title", body: str = "Some text", **more: object) -> Reply:
        """POST /posts."""
        return await self.call("POST", f"{self.posts}/posts", {"title": title, "body": body, **more}, token)


def new_address() -> str:
    """An IP address that no test has used yet, so that none is throttled because of another."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def new_email() -> str:
    """An e-mail address that no test has used yet."""
    return f"user{next(_numbers)}@example.com"


def auth_settings(database_url: str, keyring: Path | None, **changes: Any) -> auth_service.settings.Settings:
    """Settings for an auth service under test, with bcrypt at its lowest cost."""
    return auth_service.settings.Settings.model_validate(
        {
            **settings_for(database_url),
            "JWT_KEYRING_FILE": keyring,
            "ACCOUNT_KEYRING_FILE": keyring and account_keyring(keyring),
            "BCRYPT_COST": 4,
            "TRUSTED_PROXIES": 1,
            **{name.upper(): value for name, value in changes.items()},
        }
    )


def posts_settings(database_url: str, keyring: Path | None, **changes: Any) -> posts_service.settings.Settings:
    """Settings for a posts service under test; its users may write as often as they like."""
    return posts_service.settings.Settings.model_validate(
        {
            **settings_for(database_url),
            "JWT_KEYRING_FILE": keyring,
            "WRITES_BURST": 1_000_000,
            **{name.upper(): value for name, value in changes.items()},
        }
    )


def auth_app(
    database_url: str,
    keyring: Path | None,
    clock: Clock = time.time,
    hasher: PasswordHasher | None = None,
    **changes: Any,
) -> web.Application:
    """An auth service, not yet started."""
    return auth_service.app.create_app(auth_settings(database_url, keyring, **changes), clock, hasher)


def posts_app(database_url: str, keyring: Path | None, clock: Clock = time.time, **changes: Any) -> web.Application:
    """A posts service, not yet started."""
    return posts_service.app.create_app(posts_settings(database_url, keyring, **changes), clock)


class _Server(TestServer):
    """Runs an application as `serve` does."""

    async def _make_runner(self, **_: Any) -> Runner:
        return Runner(self.app)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port, as `serve` does, and yield its base URL once its database is open."""
    server = _Server(app, host="127.0.0.1")
    await server.start_server()
    try:
        await begin(app)
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
