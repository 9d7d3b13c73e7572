"""Fills the database with made-up posts, for benchmarks and demonstration."""

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from posts_service.store import PostStore, Row

BATCH = 10_000
RARE = 100_000
"""One post in so many has the tag and the word `rare`."""

_SYLLABLES = ("ba", "ko", "mi", "lu", "ren", "ta", "so", "vi", "dal", "ne", "pra", "zu", "fen", "ori", "gam", "hul")


async def seed(store: PostStore, posts: int, seed_number: int) -> None:
    """Write so many posts, always the same for the same seed, and show how far it is on standard error."""
    started = time.monotonic()
    randomness = random.Random(seed_number)  # noqa: S311  no secret is made of it
    rows = made_up(randomness, posts, datetime.now(UTC))
    for done in range(0, posts, BATCH):
        await store.copy(list(islice(rows, BATCH)))
        _show(min(done + BATCH, posts), posts, time.monotonic() - started)
    print(file=sys.stderr)


def made_up(randomness: random.Random, posts: int, now: datetime) -> Iterator[Row]:
    """Posts of a thousand authors, a minute apart, the last one now; frequent words and tags, and rare ones."""
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


def _show(done: int, posts: int, seconds: float) -> None:
    width = 30
    filled = "#" * (width * done // posts)
    left = seconds / done * (posts - done)
    print(
        f"\r[{filled:{width}}] {done:,} of {posts:,} posts, {left:.0f} s left   ", end="", file=sys.stderr, flush=True
    )
