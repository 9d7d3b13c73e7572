"""Made-up posts for demonstrations and benchmarks."""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import asyncpg

from dev import Failure, postgres
from dev.data_directory import DataDirectory

BATCH = 10_000
RARE = 100_000
"""One post in this many has the tag and the word `rare`."""

Row = tuple[UUID, str, str, str, list[str], datetime, datetime]
_COLUMNS = ("author_id", "author_name", "title", "body", "tags", "created_at", "updated_at")
_SYLLABLES = ("ba", "ko", "mi", "lu", "ren", "ta", "so", "vi", "dal", "ne", "pra", "zu", "fen", "ori", "gam", "hul")
_BAR_WIDTH = 30


def seed_running(directory: DataDirectory, posts: int, seed_number: int) -> None:
    """Add posts to the database of the running posts service."""
    if posts < 1:
        raise Failure("--posts must be at least 1")
    directory.must_be_running()
    asyncio.run(seed(postgres.url_of_running(directory.postgres, "posts"), posts, seed_number))


async def seed(url: str, posts: int, seed_number: int) -> None:
    """Add posts to a database, and show the progress on standard error.

    Args:
        url: A database with the schema of the posts service.
        posts: How many.
        seed_number: Each number makes other posts, and the same ones every time.
    """
    started = time.monotonic()
    rows = made_up(random.Random(seed_number), posts, datetime.now(UTC))  # noqa: S311  not a secret
    connection = await asyncpg.connect(url)
    try:
        for before in range(0, posts, BATCH):
            await connection.copy_records_to_table("posts", columns=_COLUMNS, records=list(islice(rows, BATCH)))
            done = min(before + BATCH, posts)
            bar, left = "#" * (_BAR_WIDTH * done // posts), (time.monotonic() - started) / done * (posts - done)
            progress = f"\r[{bar:{_BAR_WIDTH}}] {done:,} of {posts:,} posts, {left:.0f} s left   "
            print(progress, end="", file=sys.stderr, flush=True)
    finally:
        await connection.close()
    print(file=sys.stderr)


def made_up(randomness: random.Random, posts: int, now: datetime) -> Iterator[Row]:
    """Yield posts by a thousand authors, a minute apart and the last one now, with words and tags frequent and rare."""
    words = ["".join(randomness.choices(_SYLLABLES, k=randomness.randint(2, 4))) for _ in range(5_000)]
    tags = [f"tag{number}" for number in range(200)]
    authors = [(UUID(int=randomness.getrandbits(128), version=4), f"Author {number}") for number in range(1_000)]
    for number in range(posts):
        author_id, author_name = authors[int(1_000 * randomness.random() ** 2)]
        text = [words[int(5_000 * randomness.random() ** 3)] for _ in range(randomness.randint(8, 30))]
        chosen = sorted({tags[int(200 * randomness.random() ** 3)] for _ in range(randomness.randint(0, 4))})
        if number % RARE == RARE // 2:
            text.append("rare")
            chosen.append("rare")
        moment = now - timedelta(minutes=posts - number)
        yield author_id, author_name, " ".join(text[:4]), " ".join(text[4:]), chosen, moment, moment
