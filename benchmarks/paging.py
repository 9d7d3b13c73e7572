"""python -m benchmarks.paging [--posts N]: the cost of the last page of a long list compared to the first.

Fills an embedded Postgres with N posts (1,000,000 by default), and prints for each kind of list what the first, a
middle and the last page cost, with Postgres' query plans. Only the list of all posts has an aim, because the cost of a
filter depends on how many posts match.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from dev.postgres import temporary
from dev.seed import seed
from posts_service.app import create_database
from posts_service.model import Filter, PageSize, WriteLimit
from posts_service.posts import PAGE_BYTES, SEARCH_SECONDS
from posts_service.settings import Settings
from posts_service.store import search
from posts_service.store.allowances import Writes
from posts_service.store.posts import COLUMNS, PostStore

POSTS = 1_000_000
SIZE = PageSize(20, PAGE_BYTES)

AIM = 1.5
ROUNDS = 41
SECONDS = 20.0
"""Measuring a list ends after this time, even with fewer rounds."""

_FIRST = 2**63 - 1


@dataclass(frozen=True)
class List:
    """A kind of list, the ids below which its pages start, and its number of posts."""

    name: str
    wanted: Filter
    pages: Mapping[str, int]
    posts: int


def main() -> None:
    """Run the benchmark on a new database."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paging", description="Measure the cost of pages.")
    parser.add_argument("--posts", type=int, default=POSTS, metavar="N", help=f"number of posts ({POSTS:,})")
    posts: int = parser.parse_args().posts
    with temporary() as postgres:
        asyncio.run(measure(postgres.url(), posts))


async def measure(url: str, posts: int) -> None:
    """Fill the database, and report on each list."""
    database = create_database(Settings.model_validate({"DATABASE_URL": url, "DATABASE_CONNECTIONS": 1}))
    await database.open()
    connection = await asyncpg.connect(url)
    try:
        store = PostStore(database, Writes(database, WriteLimit(1, 1)))
        await fill(url, connection, posts)
        for chosen in await lists(connection):
            await report(store, connection, chosen)
    finally:
        await connection.close()
        await database.close()


async def fill(url: str, connection: asyncpg.Connection, posts: int) -> None:
    """Write the posts, and vacuum and analyse the table as autovacuum would."""
    started = time.monotonic()
    await seed(url, posts, 1)
    seeded = time.monotonic()
    await connection.execute("VACUUM ANALYZE posts")
    size = await connection.fetchval("SELECT pg_size_pretty(pg_total_relation_size('posts'))")
    print(
        f"{posts:,} posts: written in {seeded - started:.0f} s, analysed in {time.monotonic() - seeded:.0f} s, {size}"
    )


async def lists(connection: asyncpg.Connection) -> Sequence[List]:
    """The lists to measure: all posts, single filters that match many to no posts, and pairs of filters."""
    author = await connection.fetch("SELECT author_id FROM posts GROUP BY 1 ORDER BY count(*) DESC, 1")
    busiest, idlest = author[0][0], author[-1][0]
    tag = (await common(connection, "tags"))[0]
    words = await common(connection, "search")
    found = [
        ("all posts", Filter()),
        ("author, the busiest", Filter(author_id=busiest)),
        ("author, the idlest", Filter(author_id=idlest)),
        ("tag, frequent", Filter(tags=[tag])),
        ("tag, rare", Filter(tags=["rare"])),
        ("tag, nowhere", Filter(tags=["nowhere"])),
        ("word, frequent", Filter(words=words[0])),
        ("word, now and then", Filter(words=words[-1])),
        ("word, rare", Filter(words="rare")),
        ("word, nowhere", Filter(words="nowhere")),
        ("frequent tag and frequent word", Filter(tags=[tag], words=words[0])),
        ("frequent tag and rare word", Filter(tags=[tag], words="rare")),
        ("idlest author and frequent word", Filter(author_id=idlest, words=words[0])),
    ]
    return [await paged(connection, name, wanted) for name, wanted in found]


async def common(connection: asyncpg.Connection, column: str) -> list[str]:
    """The most common elements of an array or tsvector column, most frequent first."""
    rows = await connection.fetch(
        "SELECT element FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs[:cardinality("
        "most_common_elems::text::text[])]) AS known (element, frequency)"
        " WHERE tablename = 'posts' AND attname = $1 ORDER BY frequency DESC, element",
        column,
    )
    return [row[0] for row in rows]


async def paged(connection: asyncpg.Connection, name: str, wanted: Filter) -> List:
    """Find where the first, the middle and the last full page of a list start."""
    statement, arguments = search.statement(COLUMNS, wanted, _FIRST, PageSize(2**31, 2**62))
    rows = await connection.fetch(f"SELECT id FROM ({statement}) AS listed", *arguments)
    ids = [row[0] for row in rows]
    pages = {"first": _FIRST}
    if len(ids) > 2 * SIZE.posts:
        pages |= {"middle": ids[len(ids) // 2], "last": ids[-SIZE.posts] + 1}
    return List(name, wanted, pages, len(ids))


async def report(store: PostStore, connection: asyncpg.Connection, chosen: List) -> None:
    """Print the cost of a list's pages, and the query plans of the first and the last."""
    costs = await timed(store, chosen)
    print(f"\n{chosen.name}: {chosen.posts:,} posts")
    for page, seconds in costs.items():
        ratio = seconds / costs["first"]
        aim = f", aim: at most {AIM}" if page == "last" and chosen.wanted == Filter() else ""
        print(f"  {page:6} page {seconds * 1000:10.2f} ms  {ratio:6.2f} of the first{aim}")
    for page in (page for page in ("first", "last") if page in chosen.pages):
        statement, arguments = search.statement(COLUMNS, chosen.wanted, chosen.pages[page], SIZE)
        plan = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", *arguments)
        print(f"  plan of the {page} page:", *(f"    {row[0]}" for row in plan), sep="\n")


async def timed(store: PostStore, chosen: List) -> dict[str, float]:
    """The median seconds for each page; the pages take turns, so that conditions are the same for all."""
    times: dict[str, list[float]] = {page: [] for page in chosen.pages}
    deadline = time.monotonic() + SECONDS
    for number in range(ROUNDS + 1):
        for page, before in chosen.pages.items():
            started = time.perf_counter()
            if await store.page(chosen.wanted, before, SIZE, SEARCH_SECONDS) is None:
                raise RuntimeError(f"{chosen.name}: the {page} page took longer than {SEARCH_SECONDS:g} s")
            if number > 0:  # the first fills the caches
                times[page].append(time.perf_counter() - started)
        if number > 0 and time.monotonic() > deadline:
            break
    return {page: statistics.median(measured) for page, measured in times.items()}


if __name__ == "__main__":
    main()
