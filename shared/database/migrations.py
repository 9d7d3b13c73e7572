"""Numbered SQL migrations, each applied once, in a transaction."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from shared.errors import StartupError

# any number will do, as long as all replicas of a service lock the same one
_LOCK = 0x6D696772

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Reveals a migration that was edited after it ran."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_in(folder: Path) -> list[Migration]:
    """Read `0001_name.sql`, `0002_….sql`, … in order.

    Raises:
        StartupError: a number is missing or used twice.
    """
    found = [
        Migration(int(path.stem.split("_")[0]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.sql"))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise StartupError(f"the migrations in {folder.name} are not numbered 0001, 0002, … without a gap")
    return found


async def apply(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[str]:
    """Run the migrations that have not run yet, each in a transaction, and return their names.

    Replicas may do this at the same time: each migration takes the same advisory lock, and checks again under it.

    Raises:
        StartupError: a migration fails, or was edited after it ran.
    """
    if not await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')"):
        raise StartupError(
            "this database role may not change the schema; set MIGRATE=false, and run `migrate` as the role that may"
        )
    ran = []
    for migration in migrations:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name text NOT NULL,"
                " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            known = await connection.fetchval(
                "SELECT checksum FROM schema_migrations WHERE version = $1", migration.version
            )
            if known is None:
                try:
                    await connection.execute(migration.sql)
                except asyncpg.PostgresError as error:
                    raise StartupError(f"the migration {migration.name} fails: {error}") from None
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
                _log.info("migrated to %s", migration.name)
                ran.append(migration.name)
            elif known != migration.checksum:
                raise StartupError(
                    f"the migration {migration.name} was edited after it ran here; restore it and add a new one"
                )
    return ran


async def grant(connection: asyncpg.Connection, role: str, append_only: Sequence[str]) -> None:
    """Let another role read and write the tables of the current schema, and nothing else.

    What it may do doesn't depend on what it could do before.

    Args:
        connection: A connection of the role that owns the tables.
        role: The other role.
        append_only: Tables in which it can't change or delete rows.

    Raises:
        StartupError: there is no such role, it is the owner, or the connection's role isn't.
    """
    if role == await connection.fetchval("SELECT current_user"):
        raise StartupError(f"{role} is the role that owns the tables; the service must run as another one")
    name = await connection.fetchval("SELECT quote_ident($1)", role)
    schema = await connection.fetchval("SELECT quote_ident(current_schema())")
    try:
        async with connection.transaction():
            await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
            await connection.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}")
            await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name}")
            for table in append_only:
                await connection.execute(f"REVOKE UPDATE, DELETE ON {table} FROM {name}")
            await connection.execute(f"REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM {name}")
    except asyncpg.PostgresError as error:
        raise StartupError(f"the role {role} can't be given the tables: {error}") from None
