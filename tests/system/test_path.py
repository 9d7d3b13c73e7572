"""The path through both services, over real sockets."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from dev import service_process as processes
from tests.api_client import Pair, auth_app, new_email, posts_app, served
from tests.postgres import Server
from tests.system.path import walk_both, walk_posts


async def test_the_whole_path(databases: tuple[str, str], keyring_file: Path) -> None:
    """Users register, sign in, write, read, edit and delete posts across the two services."""
    async with (
        served(auth_app(databases[0], keyring_file)) as auth,
        served(posts_app(databases[1], keyring_file)) as posts,
        ClientSession() as http,
    ):
        await walk_both(Pair(auth, posts, http), new_email())


async def test_posts_goes_on_without_auth(
    databases: tuple[str, str], keyring_file: Path, database_server: Server
) -> None:
    """Users who are signed in can read and write posts while the auth service and its database are down."""
    async with served(posts_app(databases[1], keyring_file)) as posts, ClientSession() as http:
        async with served(auth_app(databases[0], keyring_file)) as auth:
            pair = Pair(auth, posts, http)
            user = await walk_both(pair, new_email())
        await database_server.drop_database(databases[0])
        with pytest.raises(OSError, match="Cannot connect"):
            await pair.login(user.email)
        await walk_posts(pair, user)
        assert (await pair.call("GET", f"{pair.posts}/health/ready")).status == 200


@pytest.mark.slow
async def test_the_whole_path_with_both_services_as_processes(
    databases: tuple[str, str], keyring_file: Path, database_server: Server
) -> None:
    """With both services as processes, the path works, and its second part still does once auth is down."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(ClientSession())
        services = []
        for name, database in zip(("auth", "posts"), databases, strict=True):
            service = processes.start(
                name,
                port=processes.free_port(),
                database_url=database,
                keyring=keyring_file,
                more={"BCRYPT_COST": "4"} if name == "auth" else None,
            )
            stack.callback(processes.stop, [service])
            services.append(service)
        processes.wait_until_ready(services)
        auth, posts = services
        pair = Pair(auth.url, posts.url, http)
        user = await walk_both(pair, new_email())

        processes.stop([auth])
        assert auth.process.returncode == 0
        await database_server.drop_database(databases[0])
        await walk_posts(pair, user)
        processes.stop([posts])
        assert posts.process.returncode == 0
