"""Mixed traffic by users who were never seen before, and how the memory of both services grows."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from itertools import count

import pytest
from aiohttp import ClientSession

from shared.tokens.verifier import MEMO_BYTES
from tests.faults.report import Report
from tests.faults.stand import Stand, client, memory_mib, sign_up

TOKENS = 10_000
"""More than a service remembers of the tokens that it has verified."""

CLIENTS = 8
USERS_PER_SECOND = 10
SAMPLE_SECONDS = 1.0

MIB_PER_HOUR = 1.0
LONG_MINUTES = 30
KIB_PER_USER = 5.0
"""In a few minutes, an allocator that still settles looks like a leak. This limit finds requests that are kept."""


@pytest.mark.once
@pytest.mark.slow
async def test_memory_does_not_grow(stand: Stand, report: Report, request: pytest.FixtureRequest) -> None:
    """Ever-new users sign up, write, read, search and log out. Memory grows by at most 5 KiB for each new user.

    In the second half of a run of half an hour or more (`make soak`), it grows by at most 1 MiB an hour. Only growth
    that is certain counts: the slope less twice its standard error.
    """
    minutes: float = request.config.getoption("--minutes")
    assert MEMO_BYTES < TOKENS * 2000, "the warm-up fills what is remembered"
    auth, posts = await stand.start("auth"), await stand.start("posts")
    memory: dict[str, list[float]] = {"auth": [], "posts": []}
    async with client() as http:
        await _warm_up(http, auth.url, posts.url)
        begun, users = time.monotonic(), count(1)
        end = begun + 60 * minutes

        async def be_users() -> None:
            while time.monotonic() < end:
                number = next(users)
                await asyncio.sleep(begun + number / USERS_PER_SECOND - time.monotonic())
                await _be_user(http, auth.url, posts.url, f"word{number}")

        everyone = asyncio.gather(*(be_users() for _ in range(CLIENTS)))
        times = []
        while not everyone.done():
            times.append(time.monotonic() - begun)
            for service in (auth, posts):
                memory[service.name].append(memory_mib(service))
            await asyncio.wait([everyone], timeout=SAMPLE_SECONDS)
        await everyone
    report.note("users", next(users) - 1)
    report.note("minutes", (time.monotonic() - begun) / 60)
    half = len(times) // 2
    for name, samples in memory.items():
        slope, error = _slope(times[half:], samples[half:])
        report.note(f"{name} at the start", samples[0], "MiB")
        report.note(f"{name} at the end", samples[-1], "MiB")
        report.note(f"{name}: slope of the second half", 3600 * slope, "MiB/h")
        report.note(f"{name}: its standard error", 3600 * error, "MiB/h")
        report.at_most(KIB_PER_USER, f"{name}: for each user", 1024 * (slope - 2 * error) / USERS_PER_SECOND, "KiB")
        if minutes >= LONG_MINUTES:
            report.at_most(MIB_PER_HOUR, f"{name}: certain growth", 3600 * (slope - 2 * error), "MiB/h")


async def _warm_up(http: ClientSession, auth: str, posts: str) -> None:
    """Use so many tokens at both services that they begin to forget the oldest."""

    async def refresh() -> None:
        refresh_token = (await sign_up(http, auth))["refresh_token"]
        for _ in range(TOKENS // CLIENTS):
            tokens = await _call(http, "POST", f"{auth}/refresh", 200, json={"refresh_token": refresh_token})
            refresh_token = tokens["refresh_token"]
            await _call(http, "GET", f"{posts}/posts?limit=1", 200, tokens["access_token"])
            await _call(http, "GET", f"{auth}/me", 200, tokens["account_token"])

    await asyncio.gather(*(refresh() for _ in range(CLIENTS)))


async def _be_user(http: ClientSession, auth: str, posts: str, word: str) -> None:
    """Register, log in, use posts and auth, and log out."""
    tokens = await sign_up(http, auth)
    token = tokens["access_token"]
    post = await _call(
        http, "POST", f"{posts}/posts", 201, token, json={"title": word, "body": "Some text", "tags": ["x"]}
    )
    await _call(http, "PATCH", f"{posts}/posts/{post['id']}", 200, token, json={"body": "More text"})
    for query in ("?limit=5", f"?q={word}", "?author=me", "?tag=x&limit=5"):
        await _call(http, "GET", f"{posts}/posts{query}", 200, token)
    await _call(http, "GET", f"{posts}/posts/{post['id']}", 200, token)
    await _call(http, "GET", f"{posts}/posts", 401, "no token")
    tokens = await _call(http, "POST", f"{auth}/refresh", 200, json={"refresh_token": tokens["refresh_token"]})
    await _call(http, "GET", f"{auth}/me", 200, tokens["account_token"])
    await _call(http, "DELETE", f"{posts}/posts/{post['id']}", 204, token)
    await _call(http, "POST", f"{auth}/logout", 204, json={"refresh_token": tokens["refresh_token"]})


async def _call(
    http: ClientSession, method: str, url: str, status: int, token: str = "", *, json: object = None
) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.request(method, url, headers=headers, json=json) as answer:
        assert answer.status == status, f"{method} {url}: {answer.status} {await answer.text()}"
        found: dict[str, str] = {} if status == 204 else await answer.json()
        return found


def _slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return the slope of a regression line, and its standard error."""
    slope, intercept = statistics.linear_regression(times, values)
    middle = statistics.fmean(times)
    left = sum((value - intercept - slope * at) ** 2 for at, value in zip(times, values, strict=True))
    spread = sum((at - middle) ** 2 for at in times)
    return slope, (left / (len(times) - 2) / spread) ** 0.5
