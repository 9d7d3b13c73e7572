"""The statements that list posts: by author, by tag and by words."""

import re

from posts_service.model import Filter

NEAR = 10_000
"""Posts that a filtered page reads in order before it asks the index of tags or words."""

# $1 the cursor, $2 the limit, $3 the author (NULL: any). The plan is made for these values (database/pool.py sets
# plan_cache_mode), so a condition on NULL vanishes before an index is chosen.
_PAGE = """
SELECT {columns}
  FROM posts
 WHERE id < $1 AND ($3::uuid IS NULL OR author_id = $3)
 ORDER BY id DESC
 LIMIT $2
"""

# $4 the tags (NULL: any), $5 the words (NULL: any).
#
# Postgres doesn't know how rare a tag or word is. One plan walks the posts from the newest, which took 470 to 750 ms to
# find nothing among a million; the other collects every match from the index and sorts them, which is as slow for a
# frequent word. So the page is filled from the NEAR posts next to the cursor, and from the index only if those were not
# enough: 5 ms for a rare tag, 43 ms for a frequent tag with a rare word. `id + 0` keeps `far` from walking again.
_FILTERED_PAGE = """
WITH near AS MATERIALIZED (
    SELECT {columns}
      FROM (SELECT * FROM posts
             WHERE id < $1 AND ($3::uuid IS NULL OR author_id = $3)
             ORDER BY id DESC
             LIMIT {near}) AS walked
     WHERE ($4::text[] IS NULL OR tags @> $4)
       AND ($5::text IS NULL OR search @@ websearch_to_tsquery('simple', $5))
     ORDER BY id DESC
     LIMIT $2
), edge AS MATERIALIZED (
    -- the last post walked; no row if there were fewer, and then nothing is left for `far`
    SELECT id
      FROM posts
     WHERE id < $1 AND ($3::uuid IS NULL OR author_id = $3)
     ORDER BY id DESC
    OFFSET {near} - 1
     LIMIT 1
), far AS (
    SELECT {columns}
      FROM posts
     WHERE id < (SELECT id FROM edge)
       AND ($3::uuid IS NULL OR author_id = $3)
       AND ($4::text[] IS NULL OR tags @> $4)
       AND ($5::text IS NULL OR search @@ websearch_to_tsquery('simple', $5))
     ORDER BY id + 0 DESC
     LIMIT $2
)
SELECT * FROM near
UNION ALL
SELECT * FROM far WHERE (SELECT count(*) FROM near) < $2 AND (SELECT id FROM edge) IS NOT NULL
ORDER BY id DESC
LIMIT $2
"""

# an optional sign, then a "phrase" or a single term
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def statement(columns: str, wanted: Filter, before: int, limit: int) -> tuple[str, list[object]]:
    """Return the statement for a page and its arguments.

    Args:
        columns: The columns to select.
        wanted: The filter.
        before: The posts' ids are below this.
        limit: The maximum number of posts.
    """
    if not wanted.tags and wanted.words is None:
        return _PAGE.format(columns=columns), [before, limit, wanted.author_id]
    words = None if wanted.words is None else _query(wanted.words)
    return (
        _FILTERED_PAGE.format(columns=columns, near=NEAR),
        [before, limit, wanted.author_id, list(wanted.tags) or None, words],
    )


def _query(words: str) -> str:
    """Rewrite a search for websearch_to_tsquery, with blanks for punctuation, as in the search column.

    Several words in one term become a phrase. No two signs are adjacent, because Postgres fails on 32 of them.
    """
    terms = []
    for sign, phrase, term in _TERM.findall(words):
        found = _PUNCTUATION.sub(" ", phrase or term).strip()
        if found:
            terms.append(found if term.lower() == "or" and not sign else f'{sign}"{found}"')
    return " ".join(terms)
