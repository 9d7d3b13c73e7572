"""Which Postgres the tests choose, depending on the machine."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres


@pytest.fixture(autouse=True)
def no_choice_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset both variables that choose a Postgres."""
    monkeypatch.delenv("TEST_DATABASE", raising=False)
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    """The address of a socket that accepts connections."""
    path = str(tmp_path / "listening.sock")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(path)
        engine.listen()
        yield f"unix://{path}"


@pytest.fixture
def abandoned(tmp_path: Path) -> str:
    """The address of a socket file that an engine left behind."""
    path = str(tmp_path / "abandoned.sock")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(path)
    return f"unix://{path}"


def test_without_an_engine_the_embedded_one_is_chosen(
    abandoned: str, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a container engine, the embedded Postgres is chosen, and no socket stays open."""
    for address in (f"unix://{tmp_path}/missing.sock", abandoned, f"tcp://127.0.0.1:{unused_tcp_port}"):
        monkeypatch.setenv("DOCKER_HOST", address)
        assert postgres.choose() == "embedded"


def test_an_engine_that_listens_is_used(listening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a container engine, Postgres runs in a container."""
    monkeypatch.setenv("DOCKER_HOST", listening)
    assert postgres.choose() == "container"


def test_a_url_is_preferred(listening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TEST_DATABASE_URL takes precedence over a container, and TEST_DATABASE over both."""
    monkeypatch.setenv("DOCKER_HOST", listening)
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://127.0.0.1/postgres")
    assert postgres.choose() == "url"
    monkeypatch.setenv("TEST_DATABASE", "embedded")
    assert postgres.choose() == "embedded"


def test_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """TEST_DATABASE must name a known kind."""
    monkeypatch.setenv("TEST_DATABASE", "sqlite")
    with pytest.raises(pytest.UsageError, match="embedded, container or pgbouncer"):
        postgres.choose()
