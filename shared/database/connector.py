"""Opens connections to a service's Postgres, which may have several hosts of which one is the primary."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

CONNECT_SECONDS = 5.0
"""How long opening a connection may take, over all hosts."""

_ELSEWHERE = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InternalClientError)
"""What makes the next host worth trying. TimeoutError is an OSError, and a standby an InternalClientError."""


class Connector:
    """Opens connections. The host that accepted the last one is tried first, and one that failed last.

    asyncpg takes a list of hosts too, but gives the first one all the time, so a machine that is switched off would
    hide the others. It also doesn't go on after a host that is still starting.

    Args:
        dsn: The database's URL, including the password; never shown.
        statement_cache: How many prepared statements a connection keeps. With 0, all that is sent works through
            PgBouncer in transaction mode.
    """

    def __init__(self, dsn: str, statement_cache: int) -> None:
        parts = urlsplit(dsn)
        user, at, hosts = parts.netloc.rpartition("@")
        self._dsns = [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]
        self._statement_cache = statement_cache
        # After five executions of a prepared statement, Postgres may settle on one plan for all values, and a good plan
        # for a frequent word is a bad one for a rare word. JIT compilation costs more than any statement here.
        # PgBouncer refuses both settings, but without prepared statements each plan is made for its values (ADR 17)
        self._server_settings = {"plan_cache_mode": "force_custom_plan", "jit": "off"} if statement_cache else {}

    async def connect(self, *_: object, **options: Any) -> asyncpg.Connection:  # noqa: ANN401  passed on to asyncpg
        """Open a connection; the positional arguments that asyncpg's pool gives its `connect` are ignored.

        Raises:
            Exception: the error of the last host.
        """
        for dsn in list(self._dsns):
            self._move(dsn, len(self._dsns))  # also if the caller stops waiting for it
            try:
                connection: asyncpg.Connection = await asyncpg.connect(
                    dsn,
                    timeout=CONNECT_SECONDS / len(self._dsns),
                    statement_cache_size=self._statement_cache,
                    server_settings=self._server_settings,
                    **options,
                )
            except _ELSEWHERE as error:
                last = error
            else:
                self._move(dsn, 0)
                return connection
        raise last

    def _move(self, dsn: str, position: int) -> None:
        self._dsns.remove(dsn)
        self._dsns.insert(position, dsn)
