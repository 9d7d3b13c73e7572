"""The embedded Postgres, wherever its folder is and whatever an earlier one left there."""

import subprocess
import tempfile
from pathlib import Path

import asyncpg
import pytest

from dev import Failure
from dev.postgres import Postgres, _child, running


@pytest.mark.slow
@pytest.mark.parametrize("temporary", ["", "y" * 90])
async def test_works_in_a_folder_that_is_too_deep_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    """A path with blanks, signs and more characters than a socket may have is no obstacle, nor is such a TMPDIR."""
    if temporary:
        (tmp_path / temporary).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    deep = tmp_path / "blank, comma & 'quotes'" / ("x" * 90) / "postgres"
    for _ in range(2):
        with Postgres(deep, durable=False) as server:
            server.create_databases(["auth"])
            connection = await asyncpg.connect(server.url("auth", user="auth"))
            assert await connection.fetchval("SELECT current_user || ' ' || current_setting('is_superuser')") == (
                "auth off"
            )
            await connection.close()
            assert running(deep) is not None
        assert running(deep) is None


@pytest.mark.slow
def test_starts_although_another_process_has_the_old_number(tmp_path: Path) -> None:
    """Lock files that were left name a process that is none of ours: the server starts nevertheless."""
    with Postgres(tmp_path / "postgres", durable=False) as server:
        left = {name: (server.data / name).read_text() for name in ("postmaster.pid", ".s.PGSQL.5432.lock")}
        number = left["postmaster.pid"].splitlines()[0]
    # Postgres takes no notice of its own parents and of other users' processes
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, **_child()) as another:
        for name, text in left.items():
            (server.data / name).write_text(text.replace(number, str(another.pid), 1))
        assert running(server.data) is None
        with server:
            assert running(server.data) is not None
        another.communicate()


def test_what_is_not_its_own_is_not_touched(tmp_path: Path) -> None:
    """A folder of that name with other files in it is refused, and kept."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").touch()
    with pytest.raises(Failure, match="can't be made"):
        Postgres(tmp_path / "postgres").start()
    assert (tmp_path / "postgres" / "thesis.txt").exists()


@pytest.mark.slow
def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    """What Postgres itself says about a start that failed is part of the one line."""
    server = Postgres(tmp_path / "postgres", durable=False)
    server.make()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(Failure, match="incompatible with server"):
        server.start()
    assert running(server.data) is None
