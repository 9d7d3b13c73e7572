"""One compose project for the whole run; what one test stops is started again for the next."""

from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.api_client import Pair
from tests.compose.project import Project

_PROJECT = pytest.StashKey[Project]()


@pytest.fixture(scope="session")
def removed_at_last(pytestconfig: pytest.Config) -> Iterator[Project]:
    """The project before anything is built; a separate fixture, so that it is removed even if it fails to start."""
    project = pytestconfig.stash[_PROJECT] = Project()
    yield project
    project.remove()


@pytest.fixture(scope="session")
def brought_up(removed_at_last: Project) -> Project:
    """The project, built and started from nothing."""
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
    """A client for the two published base URLs."""
    # a connection that is kept open would break when its container stops
    async with ClientSession(connector=TCPConnector(force_close=True)) as http:
        yield Pair(project.base_url("auth"), project.base_url("posts"), http)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the project's state and logs with the first failure; later ones mostly follow from it."""
    report = yield
    project = item.config.stash.get(_PROJECT, None)
    if report.failed and project is not None:
        report.sections.append((f"compose project {project.name}", project.state()))
        del item.config.stash[_PROJECT]
    return report
