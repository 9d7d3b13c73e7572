"""The wiring of the auth service: the only module that knows every part."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from auth_service import __doc__ as description
from auth_service import throttle
from auth_service.accounts import Accounts
from auth_service.breached_passwords import BreachedPasswords
from auth_service.handlers import ACCOUNTS, SESSIONS, TRUSTED_PROXIES
from auth_service.model import SessionPolicy
from auth_service.new_passwords import NewPasswords
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
from shared.database.migrations import migrations_in
from shared.database.pool import Database
from shared.database.sweep import sweeping
from shared.errors import DomainError
from shared.http.application import Clock, application, while_serving
from shared.http.server import ONCE_LISTENING

BODY_LIMIT = 16 * 1024
"""The largest request body accepted, in bytes."""

RENEW_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)


def create_app(settings: Settings, clock: Clock = time.time, hasher: PasswordHasher | None = None) -> web.Application:
    """Build the service.

    Args:
        settings: Its settings.
        clock: The clock for token times, in seconds since the epoch.
        hasher: Hashes passwords; by default one with the cost in the settings.

    Raises:
        StartupError: a setting can't be used, a key is unsafe, or password hashing doesn't work.
    """
    shared_keyring, account_keyring = settings.keyrings()
    signer = Signer(
        shared_keyring,
        account_keyring,
        issuer=settings.jwt_issuer,
        audiences=settings.jwt_audiences.split(","),
        own_audience=settings.jwt_audience,
        lifetime=settings.access_token_seconds,
    )
    policy = SessionPolicy(
        idle_seconds=float(settings.session_idle_seconds),
        absolute_seconds=float(settings.session_absolute_seconds),
        grace_seconds=float(settings.refresh_grace_seconds),
    )
    database = create_database(settings)
    hashing = hasher or create_hasher(settings)

    app = application(
        settings,
        settings.account_verifier(account_keyring),
        ROUTES,
        body_limit=BODY_LIMIT,
        description=description or "",
        database=database,
        shared_keyring=shared_keyring,
        clock=clock,
    )
    accounts = app[ACCOUNTS] = create_accounts(settings, database, hashing)
    app[SESSIONS] = Sessions(SessionStore(database, policy), signer)
    app[TRUSTED_PROXIES] = settings.trusted_proxies

    @asynccontextmanager
    async def threads() -> AsyncIterator[None]:
        yield
        hashing.close()

    async def renew_keys() -> None:
        while True:
            try:
                return await accounts.renew_keys()
            except DomainError as error:  # the database has gone away again
                _log.warning("the keys of accounts were not renewed: %s; trying again", error)
                await asyncio.sleep(RENEW_AGAIN_SECONDS)

    while_serving(app, threads)
    app[ONCE_LISTENING].append(renew_keys)
    sweep_store = SweepStore(database, policy, throttle.KNOWN_SECONDS)
    while_serving(app, lambda: sweeping(sweep_store.sweep))
    return app


def create_hasher(settings: Settings) -> PasswordHasher:
    """Build the password hasher, and prove that it works.

    Raises:
        StartupError: it doesn't.
    """
    hasher = PasswordHasher(settings.bcrypt_cost)
    hasher.prove()
    return hasher


def create_accounts(settings: Settings, database: Database, hasher: PasswordHasher) -> Accounts:
    """Build the rules of accounts on a database.

    Raises:
        StartupError: the folder of breached passwords can't be read.
    """
    breached = settings.breached_passwords_dir
    return Accounts(
        AccountStore(database),
        AuditStore(database),
        hasher,
        Throttle(AttemptStore(database), hasher.queue),
        NewPasswords(
            min_length=settings.password_min_length,
            context_words=[settings.jwt_issuer, settings.jwt_audience, *settings.jwt_audiences.split(",")],
            breached=None if breached is None else BreachedPasswords(breached),
        ),
    )


def create_database(settings: Settings) -> Database:
    """Build the service's database, not yet opened."""
    return Database(
        settings.database_dsn(),
        connections=settings.database_connections,
        statement_cache=settings.database_statement_cache,
        migrations=migrations_in(Path(__file__).parent / "migrations"),
        migrate=settings.migrate,
    )
