"""The embedded Postgres, whatever its folder is called and whatever a killed server left there."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import pytest

from dev import Failure, postgres
from dev.postgres import Postgres, _child, running

ROOT = os.geteuid() == 0
"""Only then does Postgres run as another user."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Postgres can use even if we are root; pytest's own are closed to all others."""
    made = postgres.new_folder(Path("/tmp"))  # noqa: S108
    yield made
    shutil.rmtree(made)


def modes(path: Path) -> dict[Path, int]:
    """The mode of a file or folder and of all folders above it."""
    return {each: stat.S_IMODE(each.stat().st_mode) for each in (path, *path.parents)}


@pytest.mark.slow
async def test_any_path_will_do(folder: Path) -> None:
    """A path may have blanks, punctuation, and more characters than the path of a socket."""
    deep = folder / "blank, comma & 'quotes'" / ("x" * 90) / "postgres"
    for _ in range(2):
        with Postgres(deep, durable=False).started() as server:
            server.create_databases(["auth"])
            connection = await asyncpg.connect(server.url("auth"))
            assert await connection.fetchval("SELECT current_user || ' ' || current_setting('is_superuser')") == (
                "auth off"
            )
            await connection.close()
            assert running(deep) is not None
        assert running(deep) is None


@pytest.mark.slow
def test_a_stopped_server_leaves_no_socket_folder(folder: Path) -> None:
    """The socket's folder is removed by a stop, even one from elsewhere after the server was killed."""
    with Postgres(folder / "postgres", durable=False).started() as server:
        sockets = server._sockets
        assert sockets is not None
        assert (sockets / ".s.PGSQL.5432").exists()
        assert postgres.stop_running(server.data)
        assert not sockets.exists()


@pytest.mark.slow
def test_it_starts_although_another_process_has_the_old_pid(folder: Path) -> None:
    """A pid file that a killed server left does not prevent a start, even if another process has that pid by now."""
    with Postgres(folder / "postgres", durable=False).started() as server:
        left = (server.data / "postmaster.pid").read_text()
        number = left.splitlines()[0]
    # Postgres ignores the pids of its own parents and of other users' processes
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, **_child()) as another:
        (server.data / "postmaster.pid").write_text(left.replace(number, str(another.pid), 1))
        assert running(server.data) is None
        with server.started():
            assert running(server.data) is not None
        another.communicate()


def test_other_files_are_not_touched(folder: Path) -> None:
    """A folder with other files in it is refused and kept."""
    (folder / "postgres").mkdir()
    (folder / "postgres" / "thesis.txt").touch()
    with pytest.raises(OSError, match="not empty"):
        Postgres(folder / "postgres").start()
    assert (folder / "postgres" / "thesis.txt").exists()


@pytest.mark.slow
def test_a_failing_start_shows_the_log(folder: Path) -> None:
    """If Postgres does not start, the error quotes what it says about that."""
    server = Postgres(folder / "postgres", durable=False)
    server.make()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(Failure, match="incompatible with server"):
        server.start()
    assert running(server.data) is None


@pytest.mark.slow
def test_a_closed_parent_is_named(folder: Path) -> None:
    """No mode is changed so that root's Postgres can reach existing data; the error names the closed folder."""
    server = Postgres(folder / "parent" / "postgres", durable=False)
    server.make()
    server.data.parent.chmod(0o700)
    before = modes(server.data)
    with pytest.raises(Failure, match=f"chmod o\\+x {server.data.parent}`") if ROOT else nullcontext():
        server.start()
    server.stop()
    assert modes(server.data) == before


@pytest.mark.slow
def test_programs_that_are_closed_to_others_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mode is changed if others can't enter the virtual environment; root's Postgres runs from a copy."""
    installed = postgres._package()
    closed = folder / "closed"
    closed.mkdir(0o700)
    shutil.copytree(installed, closed / installed.name, symlinks=True)
    libraries = installed.with_name(f"{installed.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(postgres, "_package", lambda: closed / installed.name)
    before = modes(closed / installed.name)
    with Postgres(folder / "postgres", durable=False).started() as server:
        assert server.data.with_name("postgres-programs").exists() == ROOT
    assert modes(closed / installed.name) == before


@pytest.mark.slow
def test_a_temporary_server_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary server works with any TMPDIR and leaves nothing in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = modes(tmp_path)
    with postgres.temporary() as server:
        assert running(server.data) is not None
    assert not server.data.parent.exists()
    assert list(tmp_path.iterdir()) == []
    assert modes(tmp_path) == before
