"""Runs inside the auth container: what its database role may do with audit events. Prints a JSON object."""

import asyncio
import json
import os
from pathlib import Path

import asyncpg

STATEMENTS = (
    "SELECT count(*) FROM audit_events",
    "INSERT INTO audit_events (event) VALUES ('x')",
    "UPDATE audit_events SET event = 'x'",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "DROP TABLE audit_events",
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "SET ROLE auth_owner",
)


async def main() -> None:
    """Try each statement in a transaction that is rolled back."""
    password = Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text(encoding="ascii")
    connection = await asyncpg.connect(os.environ["DATABASE_URL"], password=password)
    results = {}
    for statement in STATEMENTS:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(statement)
            results[statement] = "done"
        except asyncpg.PostgresError as error:
            results[statement] = type(error).__name__
        await transaction.rollback()
    await connection.close()
    print(json.dumps(results))


asyncio.run(main())
