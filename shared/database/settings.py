"""The settings of every service that has a Postgres."""

import math
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from shared.errors import StartupError
from shared.settings import Settings

WAIT_SECONDS = 60.0
"""How long a command waits for the database, unless it is told otherwise."""

WRITABLE = ("primary", "read-write")
"""The values of target_session_attrs that keep a service from using a standby."""


def _postgres_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # its message may quote the password
        raise ValueError(
            "it can't be parsed; it must look like postgresql://user@host:5432/database, with special characters of the"
            " password percent-encoded"
        ) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("it must look like postgresql://user@host:5432/database")
    options = dict(parse_qsl(parts.query))
    if "," in options.get("host", ""):
        raise ValueError("it must name several hosts before the path: postgresql://user@host1:5432,host2:5432/database")
    if "," in parts.netloc.rpartition("@")[2] and options.get("target_session_attrs") not in WRITABLE:
        raise ValueError(
            "it names several hosts; add ?target_session_attrs=primary, so that only the one that can write is used"
        )
    return url


class DatabaseSettings(Settings):
    """Where the database is, and how to use it."""

    database_url: Annotated[
        str,
        AfterValidator(_postgres_url),
        Field(repr=False, description="This service's own Postgres: postgresql://user@host:5432/database"),
    ]
    database_password_file: Annotated[
        Path | None, Field(description="File with the database password, if DATABASE_URL has none")
    ] = None
    database_connections: Annotated[
        int, Field(ge=1, le=1000, description="Maximum number of database connections, and one more for readiness")
    ] = 10
    database_statement_cache: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="Prepared statements that a connection keeps; 0 behind PgBouncer in transaction mode",
        ),
    ] = 100
    migrate: Annotated[
        bool, Field(description="Bring the database's schema up to date at start; false leaves it to `migrate`")
    ] = True

    def database_dsn(self) -> str:
        """Return the database's URL, including the password.

        Raises:
            StartupError: the password file can't be read, or doesn't go with the URL.
        """
        if self.database_password_file is None:
            return self.database_url
        try:
            password = self.database_password_file.read_text().strip()
        except OSError as error:
            raise StartupError(f"DATABASE_PASSWORD_FILE {self.database_password_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise StartupError(f"DATABASE_PASSWORD_FILE {self.database_password_file}: it is not UTF-8") from None
        parts = urlsplit(self.database_url)
        if parts.password:
            raise StartupError("give the password in DATABASE_URL or in DATABASE_PASSWORD_FILE, not in both")
        user, at, host = parts.netloc.rpartition("@")
        if not at:
            raise StartupError("DATABASE_URL has no user for the password to belong to: postgresql://user@host/…")
        return urlunsplit(parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{host}"))


def add_wait(parser: ArgumentParser) -> None:
    """Let a command that uses the database be told how long to wait for it."""
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for the database (default {WAIT_SECONDS:.0f}); 0 tries once",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ArgumentTypeError(f"it must be a number of seconds, 0 or more; {text} was given")
    return seconds
