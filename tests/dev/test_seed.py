"""`python -m posts_service seed`: made-up posts, quickly, and the same ones for the same number."""

import asyncio
import hashlib
import os
import random
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import asyncpg
import pytest

from dev.service_process import ROOT, environment
from posts_service.seed import BATCH, RARE, made_up
from tests.pair import Pair, posts_app, served
from tests.posts_service.board import Board

pytestmark = pytest.mark.slow

COUNT = BATCH + 500
"""More than one batch, and not a whole number of them."""


async def run(database_url: str, keyring: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "posts_service", "seed", *arguments],
        cwd=ROOT,
        env={
            **environment(),
            "DATABASE_URL": database_url,
            "JWT_KEYRING_FILE": str(keyring),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        check=False,
        timeout=60,
    )


async def contents(database_url: str) -> tuple[int, str]:
    """How many posts there are, and a hash of all that is the same each time."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT author_id, author_name, title, body, tags FROM posts ORDER BY id")
    finally:
        await connection.close()
    return len(rows), hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


async def test_posts_are_written_and_shown(database_url: str, keyring_file: Path, board: Board) -> None:
    """The command makes the schema and so many posts, like any other, and says how far it is; a second one adds."""
    first = await run(database_url, keyring_file, "--posts", str(COUNT))
    assert (first.returncode, first.stdout) == (0, b""), first.stderr
    steps = re.findall(r"\r\[(#* *)\] ([\d,]+) of ([\d,]+) posts, \d+ s left", first.stderr.decode())
    assert [(done, total) for _, done, total in steps] == [("10,000", "10,500"), ("10,500", "10,500")]
    assert [len(bar) for bar, *_ in steps] == [30, 30]
    assert steps[-1][0] == "#" * 30
    assert (await contents(database_url))[0] == COUNT
    second = await run(database_url, keyring_file, "--posts", "5", "--seed", "2")
    assert second.returncode == 0, second.stderr
    assert (await contents(database_url))[0] == COUNT + 5
    async with served(posts_app(database_url, keyring_file)) as base:
        reader = Board(Pair("", base, board.pair.http), database_url, keyring_file)
        page = (await reader.call("GET", reader.person(), "?limit=100")).body
        assert len(page["items"]) == 100
        assert all(1 <= len(post["title"]) <= 200 and post["version"] == 1 for post in page["items"])
        one = page["items"][0]
        word = one["body"].split()[0]
        found = await reader.call("GET", reader.person(), f"?q={word}&author={one['author_id']}")
        assert one in found.body["items"]


async def test_the_same_number_makes_the_same_posts(database_url: str, keyring_file: Path) -> None:
    """What is made depends on the seed alone."""
    hashes = []
    for seed in ("7", "7", "8"):
        done = await run(database_url, keyring_file, "--posts", "300", "--seed", seed)
        assert done.returncode == 0, done.stderr
        hashes.append(await contents(database_url))
        connection = await asyncpg.connect(database_url)
        await connection.execute("TRUNCATE posts")
        await connection.close()
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("count", ["0", "-1"])
async def test_nothing_is_not_written(keyring_file: Path, count: str) -> None:
    """Fewer than one post are refused in one line, before a database is asked for."""
    refused = await run("postgresql://nobody@127.0.0.1:1/nowhere", keyring_file, f"--posts={count}")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [b"posts_service: --posts must be at least 1"]


async def test_a_number_must_be_given(keyring_file: Path) -> None:
    """Without a number of posts nothing is written."""
    refused = await run("postgresql://nobody@127.0.0.1:1/nowhere", keyring_file)
    assert refused.returncode == 2
    assert b"--posts" in refused.stderr.splitlines()[-1]


def test_some_posts_are_rare() -> None:
    """One post in RARE has the tag and the word `rare`, so that a benchmark can look for it."""
    randomness = random.Random(1)  # noqa: S311  no secret is made of it
    rows = list(islice(made_up(randomness, RARE, datetime(2026, 1, 1, tzinfo=UTC)), RARE // 2 + 100))
    assert [row for row in rows if "rare" in row[4]] == [row for row in rows if "rare" in row[3].split()]
    assert sum("rare" in row[4] for row in rows) == 1
