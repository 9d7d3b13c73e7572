"""The virtual environment: which Python may create it, when it is replaced, and when it is left alone."""

import ast
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from dev.environment import DOCS, INCLUDES, STAMP, refresh
from dev.service_process import ROOT

OLD = "import runpy, sys; sys.version_info = (3, 10, 2); runpy.run_path('dev/environment.py', run_name='__main__')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that requires no packages. Tests share it, since creating its environment takes seconds."""
    root = tmp_path_factory.mktemp("project")
    (root / "requirements").mkdir()
    for name in (*INCLUDES, DOCS):
        (root / f"requirements/{name}.txt").write_text("# nothing\n")
    (root / ".venv" / "bin").mkdir(parents=True)  # as left by a killed installation
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / ".venv" / "left.txt").touch()
    with (root / "printed.txt").open("w") as printed, redirect_stdout(printed):
        refresh(root, "test")
    return root


def test_an_old_python_is_refused_in_one_line() -> None:
    """With Python below 3.11, the line says which one it is, which is needed, and how to choose another."""
    result = subprocess.run(
        [sys.executable, "-c", OLD, "dev", "--exactly"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for part in ("3.10.2", "3.11 to 3.13", "make run PYTHON=python3.12"):
        assert part in result.stderr


def test_an_old_python_can_parse_the_file() -> None:
    """The file has no syntax that Python 3.6 does not know, so that even that gets the message."""
    ast.parse((ROOT / "dev/environment.py").read_text(), feature_version=(3, 6))


@pytest.mark.slow
def test_the_readme_shows_the_printed_lines(project: Path) -> None:
    """The README shows the lines of a first `make run`, apart from numbers and the path of Python."""

    def shapes(lines: str) -> list[str]:
        ours = [line for line in lines.splitlines() if line.startswith("virtual environment: ")]
        return [re.sub(r"\(/.*\)|\d[\d.]*|(dev|test)\.txt", "…", line) for line in ours]

    assert shapes((ROOT / "README.md").read_text()) == shapes((project / "printed.txt").read_text())


@pytest.mark.slow
def test_an_unfinished_environment_is_replaced(project: Path) -> None:
    """An environment whose creation was killed is created afresh."""
    assert (project / ".venv" / "bin" / "python").exists()
    assert not (project / ".venv" / "left.txt").exists()


@pytest.mark.slow
def test_nothing_happens_while_the_lock_file_is_unchanged(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second call does nothing, and an environment for test.txt satisfies dev.txt as well."""
    before = (project / ".venv" / STAMP).stat().st_mtime_ns
    refresh(project, "test", exactly=True)
    refresh(project, "dev")
    assert capsys.readouterr().out == ""
    assert (project / ".venv" / STAMP).stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_changed_lock_file_is_installed_into_the_environment(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed lock file is installed once; the environment and what the other lock file needs are kept."""
    (project / ".venv" / "trace").touch()
    (project / "requirements" / "dev.txt").write_text("# still nothing\n")
    refresh(project, "dev")
    assert "installing 0 packages from requirements/dev.txt" in capsys.readouterr().out
    refresh(project, "test")
    assert capsys.readouterr().out == ""
    assert (project / ".venv" / "trace").exists()


@pytest.mark.slow
def test_a_failing_installation_is_reported_and_repeated(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """If pip fails, its output is shown, the environment is kept, and the next call tries again."""
    (project / "requirements" / "dev.txt").write_text("./not-here --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        with pytest.raises(SystemExit, match="pip could not install"):
            refresh(project, "dev")
        assert "not-here" in capfd.readouterr().err
    (project / "requirements" / "dev.txt").write_text("# still nothing\n")
    refresh(project, "dev")
    assert (project / ".venv" / "trace").exists()


@pytest.mark.parametrize("change", ["moved", "another Python"])
@pytest.mark.slow
def test_an_environment_that_does_not_fit_is_replaced(
    project: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """An environment of a moved project, and with --exactly one of another Python version, is created afresh."""
    stamp = project / ".venv" / STAMP
    this = "{}.{}".format(*sys.version_info)
    old, new = (str(project), "/elsewhere") if change == "moved" else (f'"{this}"', '"3.0"')
    stamp.write_text(stamp.read_text().replace(old, new))
    refresh(project, "dev", exactly=change == "another Python")
    assert f"making .venv with Python {this}" in capsys.readouterr().out
