"""Cursors."""

import pytest

from posts_service import cursor
from posts_service.errors import CursorInvalid


@pytest.mark.parametrize("last_id", [1, 2**31, 2**63 - 1])
def test_a_cursor_comes_back_as_it_went(last_id: int) -> None:
    """What is written is read."""
    assert cursor.read(cursor.write(last_id)) == last_id


def test_no_cursor_is_beyond_the_last_id() -> None:
    """A made-up cursor of a number that no id can be is refused."""
    with pytest.raises(CursorInvalid):
        cursor.read(cursor.write(2**64 - 1))


def test_an_altered_cursor_is_refused() -> None:
    """No single character of a cursor can be changed."""
    text = cursor.write(1234)
    for position, character in enumerate(text):
        altered = text[:position] + ("A" if character != "A" else "B") + text[position + 1 :]
        with pytest.raises(CursorInvalid):
            cursor.read(altered)
