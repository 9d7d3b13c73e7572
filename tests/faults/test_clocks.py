"""The clock of one machine is wrong by an hour, and then right again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.api_client import PASSWORD, new_address
from tests.faults.report import Report
from tests.faults.stand import Stand, client, needs, register

HOUR = 3600
LONGEST_WAIT_SECONDS = 60
"""The longest wait after wrong passwords for one account from one network."""


@dataclass
class _Pair:
    """Both services and a Postgres, each with a clock that can be set.

    Args:
        http: A client.
        auth: The base URL of auth.
        posts: The base URL of posts.
        folder: Where the offsets of the clocks are.
    """

    http: ClientSession
    auth: str
    posts: str
    folder: Path
    checked: int = 0
    surprises: list[str] = field(default_factory=list)

    def set(self, clock: str, seconds: int) -> None:
        """Put the clock of `auth`, `posts` or `database` forward or back, compared with the right time."""
        _write_offset(self.folder / clock, seconds)

    async def ask(
        self, method: str, url: str, *, token: str = "", network: str = "", **body: str
    ) -> tuple[str, dict[str, str]]:
        """Send a request; return the status or the code of the error, and the body with Retry-After."""
        headers = {"X-Forwarded-For": network or new_address()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, url, headers=headers, json=body or None) as answer:
            found = await answer.json() if answer.content_type.endswith("json") else {}
            return str(found.get("code", answer.status)), {**found, "retry_after": answer.headers.get("Retry-After")}

    async def expect(self, what: str, code: str, method: str, url: str, *, token: str = "", **body: str) -> None:
        """Send a request that must be answered with this status or code."""
        found, _ = await self.ask(method, url, token=token, **body)
        self.checked += 1
        if found != code:
            self.surprises.append(f"{what}: {found}, not {code}")

    async def expect_read(self, what: str, code: str, tokens: dict[str, str]) -> None:
        """Read posts with an access token."""
        await self.expect(f"{what}, at posts", code, "GET", f"{self.posts}/posts", token=tokens["access_token"])

    async def expect_me(self, what: str, code: str, tokens: dict[str, str]) -> None:
        """Read one's account with an account token."""
        await self.expect(f"{what}, at auth", code, "GET", f"{self.auth}/me", token=tokens["account_token"])

    async def log_in(self, email: str) -> dict[str, str]:
        """Log in, which must work."""
        return await self._tokens("log-in", f"{self.auth}/login", email=email, password=PASSWORD)

    async def refresh(self, tokens: dict[str, str]) -> dict[str, str]:
        """Refresh, which must work."""
        return await self._tokens("refresh", f"{self.auth}/refresh", refresh_token=tokens["refresh_token"])

    async def _tokens(self, what: str, url: str, **body: str) -> dict[str, str]:
        found, tokens = await self.ask("POST", url, **body)
        assert found == "200", f"{what}: {found}"
        self.checked += 1
        return tokens

    async def expect_normal(self, email: str) -> None:
        """Check that a log-in, a refresh, reading and writing work."""
        tokens = await self.refresh(await self.log_in(email))
        await self.expect_me("new tokens", "200", tokens)
        await self.expect_read("new tokens", "200", tokens)
        await self.expect(
            "a post", "201", "POST", f"{self.posts}/posts", token=tokens["access_token"], title="a", body="b"
        )

    def judge(self, report: Report) -> None:
        """Record how many answers were as expected, and which were not."""
        report.at_least(1, "answers checked", self.checked)
        report.at_most(0, f"unexpected {'; '.join(self.surprises)}".strip(), len(self.surprises))


@pytest.mark.once
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_the_clock_of_auth(stand: Stand, report: Report, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Auth's clock is wrong by an hour. Tokens that it signs are refused elsewhere, sessions live on; then all works.

    The two services disagree about every new token, so one of them refuses it.
    """
    report.scenario += f", {_way(step)}"
    async with _with_clocks(stand, monkeypatch) as pair:
        email = await register(pair.http, pair.auth)
        before = await pair.log_in(email)
        pair.set("auth", step)
        await pair.expect_read("a token from before", "200", before)
        await pair.expect_me("a token from before", "token_expired" if step > 0 else "token_issued_in_future", before)
        wrong = await pair.refresh(before)
        await pair.expect_read("a token", "token_issued_in_future" if step > 0 else "token_expired", wrong)
        await pair.expect_me("a token", "200", wrong)
        pair.set("auth", 0)
        code = "token_issued_in_future" if step > 0 else "token_expired"
        await pair.expect_read("a token from meanwhile", code, wrong)
        await pair.expect_me("a token from meanwhile", code, wrong)
        await pair.expect_me("a token from before", "200", before)
        right = await pair.refresh(wrong)
        await pair.expect_read("a refreshed token", "200", right)
        await pair.expect_normal(email)
        pair.judge(report)


@pytest.mark.once
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_the_clock_of_posts(stand: Stand, report: Report, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The clock of posts is wrong by an hour. It refuses all current tokens; then all works.

    If it is slow, it can't know that tokens have expired, and accepts those that were valid an hour ago.
    """
    report.scenario += f", {_way(step)}"
    async with _with_clocks(stand, monkeypatch) as pair:
        email = await register(pair.http, pair.auth)
        pair.set("auth", -HOUR)
        old = await pair.log_in(email)
        pair.set("auth", 0)
        before = await pair.log_in(email)
        await pair.expect_read("an expired token", "token_expired", old)
        pair.set("posts", step)
        await pair.expect_read("an expired token", "token_expired" if step > 0 else "200", old)
        code = "token_expired" if step > 0 else "token_issued_in_future"
        await pair.expect_read("a token from before", code, before)
        await pair.expect_read("a new token", code, await pair.log_in(email))
        await pair.expect_me("a token from before", "200", before)
        pair.set("posts", 0)
        await pair.expect_read("an expired token", "token_expired", old)
        await pair.expect_read("a token from before", "200", before)
        await pair.expect_normal(email)
        pair.judge(report)


@pytest.mark.once
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_the_clock_of_the_database(
    stand: Stand, report: Report, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The database's clock is wrong by an hour. Sessions live on, ended ones stay ended; then all works.

    Waits after wrong passwords are kept as times. So those that began before the clock was put back, including the step
    that makes it right again, take as much longer.
    """
    report.scenario += f", {_way(step)}"
    async with _with_clocks(stand, monkeypatch) as pair:
        email = await register(pair.http, pair.auth)
        before = await pair.log_in(email)
        left = await pair.log_in(email)
        await pair.expect("log-out", "204", "POST", f"{pair.auth}/logout", refresh_token=left["refresh_token"])
        earlier = await _guess(pair)
        pair.set("database", step)
        ended = "refresh_token_invalid"
        url = f"{pair.auth}/refresh"
        await pair.expect("a session that was ended", ended, "POST", url, refresh_token=left["refresh_token"])
        await pair.expect_me("a token of an ended session", "session_ended", left)
        await pair.expect_me("a session from before", "200", before)
        after = await pair.refresh(before)
        meanwhile = await pair.log_in(email)
        await pair.expect_normal(email)
        later = await _guess(pair)
        meanwhile_waits = await earlier(), await later()
        pair.set("database", 0)
        await pair.expect("a session that was ended", ended, "POST", url, refresh_token=left["refresh_token"])
        await pair.expect_me("a session from before", "200", after)
        await pair.expect_me("a session from meanwhile", "200", await pair.refresh(meanwhile))
        await pair.expect_normal(email)
        pair.judge(report)
        back, forward = max(-step, 0), max(step, 0)
        longest = LONGEST_WAIT_SECONDS
        report.at_most(longest + back, "wait after wrong passwords from before", meanwhile_waits[0], "s")
        report.at_most(longest, "wait after wrong passwords from meanwhile", meanwhile_waits[1], "s")
        report.at_most(longest, "wait, with the right time, after those from before", await earlier(), "s")
        report.at_most(longest + forward, "wait, with the right time, after those from meanwhile", await later(), "s")


async def _guess(pair: _Pair) -> Callable[[], Awaitable[int]]:
    """Enter wrong passwords until it is necessary to wait; return a function that says how long."""
    email, network = await register(pair.http, pair.auth), new_address()

    async def wait() -> int:
        code, body = await pair.ask("POST", f"{pair.auth}/login", email=email, password=PASSWORD, network=network)
        return int(body["retry_after"]) if code == "too_many_attempts" else 0

    for _ in range(6):
        await pair.ask("POST", f"{pair.auth}/login", email=email, password="wrong " + PASSWORD, network=network)
    return wait


@asynccontextmanager
async def _with_clocks(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Pair]:
    """Start everything with libfaketime; clocks that only measure time stay right."""
    needs("faketime")
    folder = stand.folder / "clocks"
    folder.mkdir(mode=0o755)
    for name in ("auth", "posts", "database"):
        _write_offset(folder / name, 0)
    stand.postgres.stop()
    with monkeypatch.context() as environment:
        for name, value in _preloaded(folder / "database").items():
            environment.setenv(name.upper(), value)
        stand.postgres.start()
    auth = await stand.start("auth", **_preloaded(folder / "auth"))
    posts = await stand.start("posts", **_preloaded(folder / "posts"))
    async with client() as http:
        yield _Pair(http, auth.url, posts.url, folder)


def _preloaded(offset: Path) -> dict[str, Any]:
    """Variables, in lower case, with which a program has the clock that is in a file."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        "ld_preload": str(library),
        "faketime_timestamp_file": str(offset),
        "faketime_no_cache": "1",
        "faketime_dont_fake_monotonic": "1",
    }


def _write_offset(file: Path, seconds: int) -> None:
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.chmod(0o644)
    new.rename(file)


def _way(step: int) -> str:
    return "an hour fast" if step > 0 else "an hour slow"
