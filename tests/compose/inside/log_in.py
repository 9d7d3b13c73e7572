"""Runs inside a service's container: which log-ins work with its database password? Prints a JSON object."""

import asyncio
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

PASSWORD_FILE = Path(os.environ["DATABASE_PASSWORD_FILE"])
RIGHTS = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"


async def main(password: str) -> None:
    """Try to log in as the service does, and in two ways that must fail."""
    url = urlsplit(os.environ["DATABASE_URL"])
    service, database = str(url.username), url.path.removeprefix("/")

    async def log_in(user: str, database: str) -> str:
        try:
            connection = await asyncpg.connect(
                host=url.hostname,
                port=url.port,
                user=user,
                database=database,
                password=password,
            )
        except asyncpg.PostgresError as error:
            return type(error).__name__
        rights = await connection.fetchrow(f"SELECT {RIGHTS} FROM pg_roles WHERE rolname = current_user")
        await connection.close()
        assert rights is not None
        return " ".join(name for name, held in rights.items() if held) or "no special right"

    print(
        json.dumps(
            {
                "as itself": await log_in(service, database),
                "as itself, another database": await log_in(service, "postgres"),
                "as the superuser": await log_in("postgres", database),
            }
        )
    )


asyncio.run(main(PASSWORD_FILE.read_text(encoding="ascii")))
