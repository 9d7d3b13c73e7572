"""The statements that list posts: by author, by tag and by words."""

from posts_service.model import Filter, PageSize
from posts_service.search_words import terms

NEAR = 10_000
"""Posts that a filtered page reads in order before it asks the index of tags or words."""

# $1 the cursor, $2 the number of posts on a page and one more, which shows whether there is a next page, $3 the author
# (NULL: any). The plan is made for these values (database/connector.py sees to it), so a condition on NULL
# vanishes before an index is chosen.
_ALL = """
SELECT {columns}
  FROM posts
 WHERE id < $1 AND ($3::uuid IS NULL OR author_id = $3)
 ORDER BY id DESC
 LIMIT $2
"""

# $4 the bytes on a page. octet_length knows the size of a body without loading it, which length doesn't. A row is shown
# if all rows before it fit.
_PAGE = """
WITH matching AS ({matching}
), measured AS (
    SELECT *, row_number() OVER newest AS number, sum(octet_length(body)) OVER newest AS bytes
      FROM matching
    WINDOW newest AS (ORDER BY id DESC)
), judged AS (
    SELECT *, number = 1 OR (number < $2 AND bytes <= $4) AS fits,
           number <= 2 OR bytes - octet_length(body) <= $4 AS shown
      FROM measured
)
SELECT {columns}, fits
  FROM judged
 WHERE shown
 ORDER BY id DESC
"""

# $5 the tags (NULL: any), $6 the words (NULL: any).
#
# Postgres doesn't know how rare a tag or word is. One plan walks the posts from the newest, which took 470 to 750 ms to
# find nothing among a million; the other collects every match from the index and sorts them, which is as slow for a
# frequent word. So the page is filled from the NEAR posts next to the cursor, and from the index only if those were not
# enough: 5 ms for a rare tag, 43 ms for a frequent tag with a rare word. `id + 0` keeps `far` from walking again.
_FILTERED = """
WITH near AS MATERIALIZED (
    SELECT {columns}
      FROM (SELECT * FROM posts
             WHERE id < $1 AND ($3::uuid IS NULL OR author_id = $3)
             ORDER BY id DESC
             LIMIT {near}) AS walked
     WHERE ($5::text[] IS NULL OR tags @> $5)
       AND ($6::text IS NULL OR search @@ websearch_to_tsquery('simple', $6))
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
       AND ($5::text[] IS NULL OR tags @> $5)
       AND ($6::text IS NULL OR search @@ websearch_to_tsquery('simple', $6))
     ORDER BY id + 0 DESC
     LIMIT $2
)
SELECT * FROM near
UNION ALL
SELECT * FROM far WHERE (SELECT count(*) FROM near) < $2 AND (SELECT id FROM edge) IS NOT NULL
ORDER BY id DESC
LIMIT $2
"""


def statement(columns: str, wanted: Filter, before: int, size: PageSize) -> tuple[str, list[object]]:
    """Return the statement for a page and its arguments. Its rows have the column `fits` too.

    The last row may be the first one that is not on the page: then `fits` is false, and it has no body.

    Args:
        columns: The columns to select.
        wanted: The filter.
        before: The posts' ids are below this.
        size: How much fits on the page; the first post always does.
    """
    arguments: list[object] = [before, size.posts + 1, wanted.author_id, size.bytes]
    matching = _ALL.format(columns=columns)
    if is_search(wanted):
        matching = _FILTERED.format(columns=columns, near=NEAR)
        arguments += [list(wanted.tags) or None, None if wanted.words is None else _query(wanted.words)]
    shown = columns.replace("body", "CASE WHEN fits THEN body END AS body")
    return _PAGE.format(matching=matching, columns=shown), arguments


def is_search(wanted: Filter) -> bool:
    """Return whether a list is filtered by tags or words, which may take long."""
    return bool(wanted.tags) or wanted.words is not None


def _query(words: str) -> str:
    """Rewrite a search for websearch_to_tsquery, with blanks for punctuation, as in the search column.

    Several words in one term become a phrase. No two signs are adjacent, because Postgres fails on 32 of them.
    """
    return " ".join(term.text if term.is_or else f'{"-" * term.excluded}"{term.text}"' for term in terms(words))
