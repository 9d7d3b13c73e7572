"""What keeps working while something is stopped, and what is kept until it is started again."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from tests.api_client import Pair, SignedIn
from tests.compose.project import CONSOLE, PUBLISHED, Project

DEADLINE = 30.0


async def test_posts_keeps_working_without_auth(project: Project, pair: Pair) -> None:
    """With auth and its database stopped, a user with a token can use posts, and posts and console stay healthy."""
    ada = await pair.sign_up()
    project.stop("auth", "auth-db")
    stopped = datetime.now(UTC)
    assert project.running() == {"posts", "posts-db", CONSOLE}

    await works(pair, ada)
    assert (await pair.call("GET", f"{project.base_url(CONSOLE)}/config.json")).status == 200
    for service in ("posts", CONSOLE):
        probe = await health_probe_after(project, service, stopped)
        assert (probe["ExitCode"], project.container(service)["State"]["Health"]["Status"]) == (0, "healthy")


def test_sigterm_stops_at_once(project: Project) -> None:
    """SIGTERM ends an idle service after LAME_DUCK_SECONDS and a console at once, with exit status 0."""
    started = time.monotonic()
    project.stop(*PUBLISHED)
    assert time.monotonic() - started < 3 + 5
    assert [project.container(service)["State"]["ExitCode"] for service in PUBLISHED] == [0, 0, 0]


async def test_down_and_up_keeps_everything(project: Project, pair: Pair) -> None:
    """After `down` and `up`, posts first, secrets, accounts and posts are the same, and tokens still work."""
    ada = await pair.sign_up()
    created = await pair.post(ada.token, "Before")
    secrets = project.secrets()

    project.down()
    project.up("posts")
    assert project.running() == {"posts", "posts-db"}
    await works(pair, ada)

    project.up()
    assert project.secrets() == secrets
    kept = await pair.call("GET", f"{pair.posts}/posts/{created.body['id']}", token=ada.token)
    assert (kept.status, kept.body["title"]) == (200, "Before")
    assert (await pair.login(ada.email)).status == 200


async def works(pair: Pair, user: SignedIn) -> None:
    """Check that the user can create a post and find it in the list."""
    created = await pair.post(user.token, "Auth is away")
    assert created.status == 201
    listed = await pair.call("GET", f"{pair.posts}/posts", token=user.token)
    assert listed.status == 200
    assert created.body["id"] in [post["id"] for post in listed.body["items"]]


async def health_probe_after(project: Project, service: str, moment: datetime) -> dict[str, Any]:
    """Wait for the engine's first health probe of a service after this moment."""
    async with asyncio.timeout(DEADLINE):
        while True:
            last: dict[str, Any] = project.container(service)["State"]["Health"]["Log"][-1]
            if datetime.fromisoformat(last["Start"]) > moment:
                return last
            await asyncio.sleep(0.5)
