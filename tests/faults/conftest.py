"""Runs each scenario as often as `--runs` says, and prints the figures of every run."""

import inspect
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.report import TIMES, Report, save
from tests.faults.stand import Stand, prepared

_reports: list[Report] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --runs, --figures, --minutes and --times-unjudged."""
    parser.addoption("--runs", type=int, default=1, help="how often each scenario runs; the worst counts")
    parser.addoption("--minutes", type=float, default=3, help="how long the memory of the services is watched")
    parser.addoption(
        "--times-unjudged", action="store_true", help="print times, but don't judge them: others use this machine too"
    )
    parser.addoption("--figures", type=Path, help="write the figures of all runs to this file, for publish.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every scenario, except those that are marked `once`."""
    if "report" in metafunc.fixturenames:
        once = metafunc.definition.get_closest_marker("once") is not None
        runs = 1 if once else metafunc.config.getoption("--runs")
        metafunc.parametrize("run", range(1, runs + 1))


@pytest.fixture
def report(request: pytest.FixtureRequest, run: int) -> Iterator[Report]:  # noqa: ARG001  makes pytest repeat
    """Where a scenario puts its figures. Those that miss their limit fail it."""
    text = inspect.getdoc(request.function) or ""
    name = f"{request.path.stem.removeprefix('test_')}::{request.function.__name__.removeprefix('test_')}"
    found = Report(name, text.split("\n\n")[0].replace("\n", " "))
    yield found
    _reports.append(found)
    request.config.get_terminal_writer().line(f"\n{found}")
    unjudged = TIMES if request.config.getoption("--times-unjudged") else ()
    missed = [figure for figure in found.missed if figure.unit not in unjudged]
    assert not missed, "; ".join(map(str, missed))


@pytest.fixture(scope="session")
def data() -> Iterator[Path]:
    """The data folder of a Postgres with two empty databases."""
    with prepared() as folder:
        yield folder


@pytest.fixture
async def stand(data: Path) -> AsyncIterator[Stand]:
    """A Postgres of its own, and a place to start services on it."""
    async with Stand.opened(data) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print all figures once more, together."""
    if _reports:
        terminalreporter.section("figures")
        for found in _reports:
            terminalreporter.line(str(found))
    if (file := config.getoption("--figures")) is not None:
        save(_reports, file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to run in parallel: scenarios would disturb each other's figures."""
    if "PYTEST_XDIST_WORKER" in os.environ and any("tests/faults" in str(item.path) for item in items):
        pytest.exit("run tests/faults without -n", returncode=2)
