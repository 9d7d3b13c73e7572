"""The wiring of the posts service: which part is given which. The only place that knows them all."""

import time
from pathlib import Path

from aiohttp import web

from posts_service import __doc__ as description
from posts_service.handlers import POSTS
from posts_service.posts import Posts
from posts_service.routes import ROUTES
from posts_service.settings import Settings
from posts_service.store import PostStore
from shared import service
from shared.database import Database, migrations_in
from shared.service import Clock
from shared.sweep import Sweeper

BODY_LIMIT = 2 * 1024 * 1024
"""Bytes of a request body."""


def create_app(settings: Settings, clock: Clock = time.time) -> web.Application:
    """Build the service; `clock` gives the seconds since the epoch that token times go by.

    Raises:
        StartupError: a setting can't be used, or a key is unsafe.
    """
    verifier = settings.verifier()
    database = create_database(settings)

    app = service.application(
        settings,
        verifier,
        ROUTES,
        body_limit=BODY_LIMIT,
        description=description or "",
        database=database,
        clock=clock,
    )
    store = PostStore(database)
    app[POSTS] = Posts(store)
    app.cleanup_ctx.append(Sweeper(store.sweep).lifespan)
    return app


def create_database(settings: Settings) -> Database:
    """The service's own Postgres, not yet opened."""
    return Database(
        settings.database_dsn(),
        connections=settings.database_connections,
        migrations=migrations_in(Path(__file__).parent / "migrations"),
        migrate=settings.migrate,
    )
