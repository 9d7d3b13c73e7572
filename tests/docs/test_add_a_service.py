"""docs/add-a-service.md, followed step by step."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from auth_service import keys, model
from tests.api_client import Pair, Reply, auth_app, served
from tests.docs import stacks
from tests.docs.blocks import DOCS, ROOT, write_files
from tests.docs.cases import CASES, Case, Forger
from tests.docs.stacks import Stack
from tests.postgres import Server

DOCUMENT = DOCS / "add-a-service.md"
START_SECONDS = 30
STOP_SECONDS = 10


@dataclass(frozen=True)
class Notes:
    """The running third service, and a client for it."""

    url: str
    keyring: Path
    pair: Pair

    async def read(self, token: str | None) -> Reply:
        """Send GET /notes."""
        return await self.pair.call("GET", f"{self.url}/notes", token=token)

    async def write(self, token: str, **note: object) -> Reply:
        """Send POST /notes."""
        return await self.pair.call("POST", f"{self.url}/notes", note, token)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, keyring_file: Path) -> Path:
    """A folder with the files that the document shows, and a copy of the pair's key file."""
    folder = tmp_path_factory.mktemp("add-a-service")
    (folder / "keyring.json").write_bytes(keyring_file.read_bytes())
    write_files(DOCUMENT, folder)
    return folder


@pytest.fixture(scope="module")
async def trio(pair: Pair, keyring_file: Path, database_server: Server) -> AsyncIterator[Pair]:
    """The pair, with an auth service that also issues tokens for the third service."""
    database = await database_server.create_database()
    audiences = "posts,notes"
    async with (
        served(auth_app(database, keyring_file, jwt_audiences=audiences)) as auth,
        ClientSession() as http,
    ):
        yield Pair(auth, pair.posts, http)
    await database_server.drop_database(database)


@pytest.fixture(scope="module")
async def notes(trio: Pair, folder: Path) -> AsyncIterator[Notes]:
    """notes.py, running as a process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started(folder, port) as process:
        running = Notes(f"http://127.0.0.1:{port}", folder / "keyring.json", trio)
        await until_ready(running, process)
        yield running


@contextmanager
def started(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run notes.py for the duration of the block, then stop it with SIGTERM."""
    with (folder / "notes.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(folder / "notes.py")],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),  # because the file is not in the project's root here
                "PYTHONWARNINGS": "error",
                "JWT_KEYRING_FILE": str(folder / "keyring.json"),
                "PORT": str(port),
            },
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            status = process.wait(STOP_SECONDS)
        finally:
            process.kill()
    assert status == 0, (folder / "notes.log").read_text()


async def until_ready(notes: Notes, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service is ready."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.poll() is None, notes.keyring.with_name("notes.log").read_text()
            try:
                if (await notes.pair.call("GET", f"{notes.url}/health/ready")).status == 200:
                    return
            except ClientError:
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module", params=stacks.at_hand())
async def stack(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Stack]:
    """Each of the other stacks that can run here."""
    keyring = folder / "keyring.json"
    if request.param == "PyJWT":
        yield stacks.PyJwt(folder, keyring)
    else:
        async with stacks.node(folder, keyring) as node:
            yield node


@pytest.fixture
def forger(folder: Path) -> Forger:
    """A forger who has the pair's key."""
    return Forger.of(folder / "keyring.json")


def test_the_document_shows_three_whole_files(tmp_path: Path) -> None:
    """The document shows three complete files, and the Python ones pass the linter and the formatter."""
    files = write_files(DOCUMENT, tmp_path)
    assert [file.name for file in files] == ["notes.py", "verify.py", "verify.mjs"]
    python = [str(file) for file in files if file.suffix == ".py"]
    settings = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    # the examples are not in a package, and are explained in the document instead of in docstrings
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", *settings, "--ignore", "INP001,D1", *python], cwd=ROOT, check=True)
    subprocess.run([*ruff, "format", *settings, "--check", *python], cwd=ROOT, check=True)


def test_the_lock_file_pins_by_hash_and_names_no_registry() -> None:
    """Each package in the lock file has a hash but no URL."""
    packages = json.loads((stacks.LOCKED / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


async def test_one_token_works_at_both_resource_services(notes: Notes) -> None:
    """A user signs in once, and the same access token is good at posts and at the third service, but not at auth."""
    user = await notes.pair.sign_up()
    refused = await notes.pair.call("GET", f"{notes.pair.auth}/me", token=user.token)
    assert (refused.status, refused.code) == (401, "token_key_unknown")
    assert (await notes.pair.post(user.token)).status == 201
    mine = await notes.read(user.token)
    assert (mine.status, mine.body) == (200, [])


async def test_a_scope_of_its_own(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing requires the third service's own scope; after auth grants it, users who log in write their own notes."""
    before = await notes.pair.sign_up()
    refused = await notes.write(before.token, text="Milk")
    assert (refused.status, refused.code) == (403, "scope_missing")
    assert 'Bearer realm="notes", error="insufficient_scope"' in refused.headers["WWW-Authenticate"]

    monkeypatch.setitem(model.SCOPES, "user", "posts:read posts:write notes:write")  # as the document says
    again = await notes.pair.login(before.email)
    written = await notes.write(again.body["access_token"], text="Milk")
    assert (written.status, written.body) == (201, {"text": "Milk"})
    assert (await notes.read(before.token)).body == ["Milk"]
    other = await notes.pair.sign_up()
    assert (await notes.read(other.token)).body == []


async def test_a_token_without_its_audience(notes: Notes, pair: Pair) -> None:
    """The third service refuses a token without its audience and hints at the setting to change."""
    user = await pair.sign_up()
    refused = await notes.read(user.token)
    assert (refused.status, refused.code) == (401, "token_audience_wrong")
    assert "JWT_AUDIENCES" in refused.body["hint"]


async def test_the_account_token_is_not_for_it(notes: Notes, stack: Stack) -> None:
    """The third service refuses an account token that someone sends it by mistake, and so does a foreign stack."""
    user = await notes.pair.sign_up()
    refused = await notes.read(user.account_token)
    assert (refused.status, refused.code) == (401, "token_key_unknown")
    assert await stack.claims(user.account_token) is None


async def test_no_token(notes: Notes) -> None:
    """Without a token, the third service answers 401 and a challenge without an error code."""
    refused = await notes.read(None)
    assert (refused.status, refused.code) == (401, "token_missing")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="notes"'
    assert refused.headers["Content-Type"] == "application/problem+json"


async def test_its_other_errors_have_the_same_form(notes: Notes, forger: Forger) -> None:
    """In the third service too, errors about the path, method and body are problem+json."""
    token = forger.token(scope="notes:write")
    for reply, status, code in (
        (await notes.pair.call("GET", f"{notes.url}/nowhere"), 404, "not_found"),
        (await notes.pair.call("DELETE", f"{notes.url}/notes", token=token), 405, "method_not_allowed"),
        (await notes.write(token, text=7), 422, "validation_failed"),
        (await notes.write(token, text="x" * 5000), 413, "body_too_large"),
    ):
        assert (reply.status, reply.code) == (status, code)
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.body["request_id"] == reply.headers["X-Request-ID"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_third_service(notes: Notes, forger: Forger, case: Case) -> None:
    """The third service accepts a valid token, and answers an invalid one with 401, a code and a challenge."""
    reply = await notes.read(case.make(forger))
    if case.code is None:
        assert reply.status == 200
        return
    assert (reply.status, reply.code) == (401, case.code)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["WWW-Authenticate"].startswith('Bearer realm="notes", error="invalid_token"')


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_foreign_stack(stack: Stack, forger: Forger, case: Case) -> None:
    """Another library, set up as the document says, accepts and refuses the same tokens."""
    assert (await stack.claims(case.make(forger)) is not None) == (case.code is None)


async def test_a_foreign_stack_reads_a_real_token(stack: Stack, trio: Pair, pair: Pair) -> None:
    """Another stack reads the claims of a token from the auth service, and refuses a token for other audiences."""
    user = await trio.sign_up("Zoë 🦊")
    claims = await stack.claims(user.token)
    assert claims is not None
    assert (claims["sub"], claims["name"], claims["aud"]) == (user.id, user.name, ["posts", "notes"])
    assert claims["scope"].split() == ["posts:read", "posts:write"]
    assert await stack.claims((await pair.sign_up()).token) is None


async def test_invalid_utf8(stack: Stack) -> None:
    """A token with invalid UTF-8, as frameworks pass it on from a header, is refused without a crash."""
    assert await stack.claims("\udcff.\udcff.\udcff") is None


@pytest.mark.slow
async def test_rotation(notes: Notes, stack: Stack) -> None:
    """Tokens are accepted once their key is added and refused once it is removed, without a restart."""
    kid = keys.add(notes.keyring)
    token = Forger.of(notes.keyring, position=-1).token()
    try:
        assert await stack.claims(token) is not None
        async with asyncio.timeout(START_SECONDS):
            while (await notes.read(token)).status != 200:
                await asyncio.sleep(0.05)
        ready = await notes.pair.call("GET", f"{notes.url}/health/ready")
        assert not list(keys.unready(kid, {notes.url: ready.body})), "the key could not be promoted"
    finally:
        keys.retire(notes.keyring, kid, time.time(), token_seconds=0)
    assert await stack.claims(token) is None
    async with asyncio.timeout(START_SECONDS):
        while (await notes.read(token)).status != 401:
            await asyncio.sleep(0.05)
