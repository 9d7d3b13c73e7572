"""The virtual environment: which Python may make it, when it is made anew, and when it is left alone."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from dev import Failure, installation, pair

OLD = "import runpy, sys; sys.version_info = (3, 10, 2); runpy.run_path('dev/environment.py', run_name='__main__')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that wants no packages at all; to make its environment takes seconds, so the tests share it."""
    root = tmp_path_factory.mktemp("project")
    venv = root / ".venv"
    (root / "requirements").mkdir()
    for name in (*installation.CONTAINS, installation.DOCS):
        (root / f"requirements/{name}.txt").write_text("# nothing\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installation, "ROOT", root)
        patch.setattr(installation, "VENV", venv)
        patch.setattr(installation, "PYTHON", venv / "bin" / "python")
        patch.setattr(installation, "STAMP", venv / "installed.json")
        patch.setattr(installation, "UNFINISHED", venv / ".unfinished")
        venv.mkdir()
        (venv / ".unfinished").touch()
        (venv / "left.txt").touch()
        with (root / "said.txt").open("w") as said, redirect_stdout(said):
            installation.refresh("test")
        yield root


def test_an_old_python_is_turned_away_in_one_line() -> None:
    """Python below 3.11: the line says which one was found, which is wanted, and how to name another."""
    answer = subprocess.run(
        [sys.executable, "-c", OLD, "dev", "--exactly"], cwd=pair.ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    for part in ("3.10.2", "3.11 to 3.13", "make run PYTHON=python3.12"):
        assert part in answer.stderr


@pytest.mark.slow
def test_the_readme_shows_what_it_says(project: Path) -> None:
    """The README shows the lines of a first `make run`; versions, numbers and the place of Python may be others."""

    def shapes(lines: str) -> list[str]:
        ours = [line for line in lines.splitlines() if line.startswith("virtual environment: ")]
        return [re.sub(r"\(/.*\)|\d[\d.]*|(dev|test)\.txt", "…", line) for line in ours]

    assert shapes((pair.ROOT / "README.md").read_text()) == shapes((project / "said.txt").read_text())


@pytest.mark.slow
def test_nothing_is_done_while_the_lock_file_stays_as_it_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second call does nothing; what satisfies test.txt satisfies dev.txt."""
    before = (project / ".venv" / "installed.json").stat().st_mtime_ns
    installation.refresh("test")
    installation.refresh("dev")
    assert capsys.readouterr().out == ""
    assert (project / ".venv" / "installed.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_changed_lock_file_is_installed_into_what_is_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another content of a lock file is installed once, and nothing that is there for another one is removed."""
    (project / ".venv" / "trace").touch()
    (project / "requirements" / "dev.txt").write_text("# still nothing\n")
    installation.refresh("dev")
    assert "installing 0 packages from requirements/dev.txt" in capsys.readouterr().out
    installation.refresh("test")
    assert capsys.readouterr().out == ""
    assert (project / ".venv" / "trace").exists()


@pytest.mark.slow
def test_packages_that_cannot_be_had_end_it_in_one_line(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A failing pip is quoted, and asked again at the next call."""
    (project / "requirements" / "dev.txt").write_text("./not-here --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        with pytest.raises(Failure, match="pip could not install"):
            installation.refresh("dev")
        assert "not-here" in capfd.readouterr().err
    (project / "requirements" / "dev.txt").write_text("# nothing again\n")


@pytest.mark.slow
def test_one_that_was_left_unfinished_is_made_anew(project: Path) -> None:
    """A set-up that was killed half-way leaves nothing that the next one would trust."""
    assert (project / ".venv" / "bin" / "python").exists()
    assert not (project / ".venv" / "left.txt").exists()
