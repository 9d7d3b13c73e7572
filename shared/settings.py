"""What services are told by environment variables: of tokens, of where to listen, of their database."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from shared.errors import StartupError
from shared.keyring import Keyring
from shared.logs import Format
from shared.tokens import Verifier
from shared.variables import Port, Settings


def _origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc:
            raise ValueError("it must be origins with a comma between two, such as https://app.example.com")
    return text


def _postgres_url(url: str) -> str:
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise ValueError("it must look like postgresql://user@host:5432/database")
    return url


NAME_FORM = r"[A-Za-z0-9:/._-]{1,255}"
Name = Annotated[str, Field(pattern=f"^{NAME_FORM}$")]


class VerifierSettings(Settings):
    """What is needed to verify tokens, in every service alike."""

    jwt_keyring_file: Annotated[Path | None, Field(description="The shared secret: a JWK Set in a file")] = None
    jwt_keyring: Annotated[
        str | None, Field(min_length=1, repr=False, description="Its text instead, where there are no files")
    ] = None
    jwt_issuer: Annotated[Name, Field(description="iss of the tokens, the same in every service")] = "auth"
    jwt_audience: Annotated[Name, Field(description="This service's own name, looked for in aud")]
    jwt_leeway: Annotated[float, Field(ge=0, le=60, description="Seconds by which two machines' clocks may differ")] = (
        10.0
    )

    def verifier(self) -> Verifier:
        """Read the shared secret and make the verifier of it.

        Raises:
            StartupError: there is no secret, or an unsafe one.
        """
        keyring = Keyring(file=self.jwt_keyring_file, text=self.jwt_keyring)
        return Verifier(keyring, issuer=self.jwt_issuer, audience=self.jwt_audience, leeway=self.jwt_leeway)


class ServiceSettings(VerifierSettings):
    """What every service is told."""

    host: Annotated[str, Field(min_length=1, description="Address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Field(description="Port to listen on")]
    metrics_port: Annotated[
        Port | None, Field(description="Port of GET /metrics for Prometheus; without it there is none")
    ] = None
    cors_origins: Annotated[
        str, AfterValidator(_origins), Field(description="Origins whose pages may call it from a browser, by commas")
    ] = ""
    docs: Annotated[bool, Field(description="Answer GET /docs, a page to read and try the API")] = True
    log_format: Annotated[Format, Field(description="json, or text for reading at a terminal")] = "json"


class DatabaseSettings(Settings):
    """What a service is told of its Postgres."""

    database_url: Annotated[
        str,
        AfterValidator(_postgres_url),
        Field(repr=False, description="This service's own Postgres: postgresql://user@host:5432/database"),
    ]
    database_password_file: Annotated[
        Path | None, Field(description="File with the database password, where DATABASE_URL has none")
    ] = None
    database_connections: Annotated[
        int, Field(ge=1, le=1000, description="Most connections to the database at a time")
    ] = 10
    migrate: Annotated[
        bool, Field(description="Bring the database's schema up to date at start; false leaves it to `migrate`")
    ] = True

    def database_dsn(self) -> str:
        """The database's URL with the password in it.

        Raises:
            StartupError: the password file can't be read.
        """
        if self.database_password_file is None:
            return self.database_url
        try:
            password = self.database_password_file.read_text().strip()
        except OSError as error:
            raise StartupError(f"DATABASE_PASSWORD_FILE {self.database_password_file}: {error.strerror}") from None
        parts = urlsplit(self.database_url)
        if parts.password:
            raise StartupError("give the password in DATABASE_URL or in DATABASE_PASSWORD_FILE, one of the two")
        user, at, host = parts.netloc.rpartition("@")
        if not at:
            raise StartupError("DATABASE_URL names no user that the password could belong to: postgresql://user@host/…")
        return urlunsplit(parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{host}"))
