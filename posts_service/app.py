"""The wiring of the posts service: the only module that knows every part."""

import time
from pathlib import Path

from aiohttp import web

from posts_service import __doc__ as description
from posts_service.handlers.posts import POSTS
from posts_service.model import WriteLimit
from posts_service.posts import Posts
from posts_service.routes import ROUTES
from posts_service.settings import Settings
from posts_service.store.allowances import Writes
from posts_service.store.idempotency import IdempotencyStore
from posts_service.store.posts import PostStore
from posts_service.store.sweep import SweepStore
from shared.database.migrations import migrations_in
from shared.database.pool import Database
from shared.database.sweep import sweeping
from shared.http.application import Clock, application, while_serving

BODY_LIMIT = 2 * 1024 * 1024
"""The largest request body accepted, in bytes."""


def create_app(settings: Settings, clock: Clock = time.time) -> web.Application:
    """Build the service.

    Args:
        settings: Its settings.
        clock: The clock for token times, in seconds since the epoch.

    Raises:
        StartupError: a setting can't be used, or a key is unsafe.
    """
    verifier = settings.verifier()
    database = create_database(settings)
    limit = WriteLimit(settings.writes_burst, settings.writes_per_second)

    app = application(
        settings,
        verifier,
        ROUTES,
        body_limit=BODY_LIMIT,
        description=description or "",
        database=database,
        clock=clock,
    )
    writes = Writes(database, limit)
    app[POSTS] = Posts(PostStore(database, writes), IdempotencyStore(database, writes), limit)
    while_serving(app, lambda: sweeping(SweepStore(database).sweep))
    return app


def create_database(settings: Settings) -> Database:
    """Build the service's database, not yet opened."""
    return Database(
        settings.database_dsn(),
        connections=settings.database_connections,
        statement_cache=settings.database_statement_cache,
        migrations=migrations_in(Path(__file__).parent / "migrations"),
        migrate=settings.migrate,
    )
