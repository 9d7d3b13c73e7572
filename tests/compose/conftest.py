"""One project for the whole run, brought up from nothing; a test that stops something gets it back for the next."""

from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.api_client import Pair
from tests.compose.project import Project

_PROJECT = pytest.StashKey[Project]()


@pytest.fixture(scope="session")
def removed_at_last(pytestconfig: pytest.Config) -> Iterator[Project]:
    """The project before anything is built. A fixture of its own, so that what fails to come up is still removed."""
    project = pytestconfig.stash[_PROJECT] = Project()
    yield project
    project.remove()


@pytest.fixture(scope="session")
def brought_up(removed_at_last: Project) -> Project:
    """The project, built and up from nothing."""
    removed_at_last.build()
    removed_at_last.up()
    return removed_at_last


@pytest.fixture
def project(brought_up: Project) -> Project:
    """The project with everything running."""
    if not brought_up.whole:
        brought_up.up()
    return brought_up


@pytest.fixture
async def pair(project: Project) -> AsyncIterator[Pair]:
    """A client of the two published base URLs."""
    # a connection kept open would not outlive the container that it goes to
    async with ClientSession(connector=TCPConnector(force_close=True)) as http:
        yield Pair(project.base_url("auth"), project.base_url("posts"), http)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what runs and what it logged with the first failure; later ones mostly follow from it."""
    report = yield
    project = item.config.stash.get(_PROJECT, None)
    if report.failed and project is not None:
        report.sections.append((f"compose project {project.name}", project.state()))
        del item.config.stash[_PROJECT]
    return report
