"""`make seed`: made-up posts, written quickly, and the same ones for the same number."""

import hashlib
import random
import re
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import asyncpg
import pytest
from aiohttp import ClientSession

from dev.seed import BATCH, RARE, made_up, seed
from tests.api_client import Pair, posts_app, served
from tests.dev.runner import dev, serving
from tests.posts_service.board import Board

pytestmark = pytest.mark.slow

COUNT = BATCH + 500
"""More than one batch, and not a multiple of it."""


async def contents(database_url: str) -> tuple[int, str]:
    """How many posts there are, and a hash of everything but their times."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT author_id, author_name, title, body, tags FROM posts ORDER BY id")
    finally:
        await connection.close()
    return len(rows), hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


async def test_posts_are_written_and_shown(
    database_url: str, keyring_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made-up posts are added to those that exist, with a progress bar, and are posts like any other."""
    async with served(posts_app(database_url, keyring_file)) as base, ClientSession() as http:
        await seed(database_url, COUNT, 1)
        steps = re.findall(r"\r\[(#* *)\] ([\d,]+) of ([\d,]+) posts, \d+ s left", capsys.readouterr().err)
        assert [(done, total) for _, done, total in steps] == [("10,000", "10,500"), ("10,500", "10,500")]
        assert [len(bar) for bar, *_ in steps] == [30, 30]
        assert steps[-1][0] == "#" * 30
        await seed(database_url, 5, 2)
        assert (await contents(database_url))[0] == COUNT + 5
        reader = Board(Pair("", base, http), database_url, keyring_file)
        page = (await reader.call("GET", reader.person(), "?limit=100")).body
        assert len(page["items"]) == 100
        assert all(1 <= len(post["title"]) <= 200 and post["version"] == 1 for post in page["items"])
        one = page["items"][0]
        word = one["body"].split()[0]
        found = await reader.call("GET", reader.person(), f"?q={word}&author={one['author_id']}")
        assert one in found.body["items"]


async def test_the_same_number_makes_the_same_posts(database_url: str, keyring_file: Path) -> None:
    """The contents depend on the seed number alone."""
    hashes = []
    async with served(posts_app(database_url, keyring_file)):
        for number in (7, 7, 8):
            await seed(database_url, 300, number)
            hashes.append(await contents(database_url))
            connection = await asyncpg.connect(database_url)
            await connection.execute("TRUNCATE posts")
            await connection.close()
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_running_posts_service_gets_them(tmp_path: Path) -> None:
    """The command adds posts to the database of the run, and needs one."""
    with serving(tmp_path / "data", keep=False) as runner:
        seeded = dev("seed", runner.data)
        assert (seeded.returncode, "1,000 of 1,000 posts" in seeded.stderr) == (0, True)
        *_, posts = runner.paste(*runner.curls)
        assert '"next":null' not in posts
        assert dev("stop", runner.data).returncode == 0
        refused = dev("seed", runner.data)
    assert refused.returncode == 1
    assert refused.stderr.startswith("make seed: nothing is running")


def test_some_posts_are_rare() -> None:
    """One post in RARE has the tag and the word `rare`, so that a benchmark can look for it."""
    randomness = random.Random(1)  # noqa: S311  not a secret
    rows = list(islice(made_up(randomness, RARE, datetime(2026, 1, 1, tzinfo=UTC)), RARE // 2 + 100))
    assert [row for row in rows if "rare" in row[4]] == [row for row in rows if "rare" in row[3].split()]
    assert sum("rare" in row[4] for row in rows) == 1
