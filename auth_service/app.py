"""The wiring of the auth service: which part is given which. The only place that knows them all."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from auth_service import __doc__ as description
from auth_service.accounts import Accounts
from auth_service.handlers import ACCOUNTS, SESSIONS, TRUSTED_PROXIES
from auth_service.passwords import PasswordHasher
from auth_service.routes import ROUTES
from auth_service.sessions import Sessions
from auth_service.settings import Settings
from auth_service.signing import Signer
from auth_service.store.accounts import AccountStore
from auth_service.store.attempts import AttemptStore
from auth_service.store.audit import AuditStore
from auth_service.store.sessions import SessionStore
from auth_service.store.sweep import SweepStore
from auth_service.throttle import Throttle
from shared import service
from shared.database import Database, migrations_in
from shared.service import Clock
from shared.sweep import Sweeper

BODY_LIMIT = 16 * 1024
"""Bytes of a request body."""


def create_app(settings: Settings, clock: Clock = time.time, hasher: PasswordHasher | None = None) -> web.Application:
    """Build the service.

    Args:
        settings: What the operator set.
        clock: Gives the time of tokens, in seconds since the epoch.
        hasher: Hashes passwords; by default, at the cost that is set.

    Raises:
        StartupError: a setting can't be used, a key is unsafe, or password hashing does not work.
    """
    verifier = settings.verifier()
    signer = Signer(
        verifier.keyring,
        issuer=settings.jwt_issuer,
        audiences=settings.jwt_audiences.split(","),
        lifetime=settings.access_token_seconds,
    )
    hasher = hasher or create_hasher(settings)
    database = create_database(settings)
    sessions = SessionStore(
        database,
        idle_seconds=settings.session_idle_seconds,
        absolute_seconds=settings.session_absolute_seconds,
    )

    app = service.application(
        settings,
        verifier,
        ROUTES,
        body_limit=BODY_LIMIT,
        description=description or "",
        database=database,
        clock=clock,
    )
    app[ACCOUNTS] = create_accounts(settings, database, hasher)
    app[SESSIONS] = Sessions(sessions, signer)
    app[TRUSTED_PROXIES] = settings.trusted_proxies

    async def threads(_: web.Application) -> AsyncIterator[None]:
        yield
        hasher.close()

    app.cleanup_ctx.extend([threads, Sweeper(SweepStore(database).sweep).lifespan])
    return app


def create_hasher(settings: Settings) -> PasswordHasher:
    """The hasher, proved to work.

    Raises:
        StartupError: it does not.
    """
    hasher = PasswordHasher(settings.bcrypt_cost)
    hasher.prove()
    return hasher


def create_accounts(settings: Settings, database: Database, hasher: PasswordHasher) -> Accounts:
    """The rules of accounts, on this database."""
    return Accounts(
        AccountStore(database),
        AuditStore(database),
        hasher,
        Throttle(AttemptStore(database)),
        password_min_length=settings.password_min_length,
    )


def create_database(settings: Settings) -> Database:
    """The service's own Postgres, not yet opened."""
    return Database(
        settings.database_dsn(),
        connections=settings.database_connections,
        migrations=migrations_in(Path(__file__).parent / "migrations"),
        migrate=settings.migrate,
    )
