"""PgBouncer in transaction mode in front of a Postgres, as Debian packages it."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psutil
import pytest

from dev.postgres import hand_over, other_user

SERVERS = 3
"""Connections to Postgres per database, fewer than a service has: so transactions are spread over them."""

START_SECONDS = 10.0
STOP_SECONDS = 5.0

_SETTINGS = """
[databases]
* = host={host} port={port} auth_user={user}
[pgbouncer]
pool_mode = transaction
default_pool_size = {servers}
; the connection that was used least recently is next, so that state left on one shows
server_round_robin = 1
max_client_conn = 2000
auth_type = trust
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
log_connections = 0
log_disconnections = 0
"""


def executable() -> str | None:
    """The path of PgBouncer, or None if it isn't installed."""
    return shutil.which("pgbouncer")


@contextmanager
def pooling(url: str, *, servers: int = SERVERS) -> Iterator[str]:
    """Run a PgBouncer in front of a Postgres that listens on a socket, and yield the folder of its own socket.

    Args:
        url: A database of that Postgres, as a superuser, who looks up which users there are. Each client gets the
            database that it asks for.
        servers: How many connections to each database it opens.
    """
    program = executable()
    if program is None:
        pytest.fail("no PgBouncer to test with: apt install pgbouncer", pytrace=False)
    parts = urlsplit(url)
    where = parse_qs(parts.query)
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
    hand_over(folder)
    settings = folder / "pgbouncer.ini"
    [host], [port] = where["host"], where["port"]
    settings.write_text(_SETTINGS.format(host=host, port=port, user=parts.username, folder=folder, servers=servers))
    hand_over(settings)
    with (folder / "log").open("wb") as log:
        process = psutil.Popen(
            [program, "-q", str(settings)], stdout=log, stderr=log, start_new_session=True, **other_user()
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (folder / f".s.PGSQL.{port}").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PgBouncer did not start: {(folder / 'log').read_text()}", pytrace=False)
            time.sleep(0.02)
        yield str(folder)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


def through(folder: str, url: str) -> str:
    """Return the URL of the same database through the PgBouncer whose socket is in this folder.

    Addresses that are not on a socket are not behind it, and stay as they are.
    """
    parts = urlsplit(url)
    where = parse_qs(parts.query)
    if "port" not in where:
        return url
    return parts._replace(query=f"host={quote(folder, safe='')}&port={where['port'][0]}").geturl()


def version() -> str:
    """The version of PgBouncer, for the header of a test run."""
    program = executable()
    if program is None:
        return "none"
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
