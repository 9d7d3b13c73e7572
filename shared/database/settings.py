"""The settings of every service that has a Postgres."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from shared.errors import StartupError
from shared.settings import Settings


def _postgres_url(url: str) -> str:
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ValueError("it must look like postgresql://user@host:5432/database")
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
    database_connections: Annotated[int, Field(ge=1, le=1000, description="Maximum number of database connections")] = (
        10
    )
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
        parts = urlsplit(self.database_url)
        if parts.password:
            raise StartupError("give the password in DATABASE_URL or in DATABASE_PASSWORD_FILE, not in both")
        user, at, host = parts.netloc.rpartition("@")
        if not at:
            raise StartupError("DATABASE_URL has no user for the password to belong to: postgresql://user@host/…")
        return urlunsplit(parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{host}"))
