"""Cursors."""

import pytest

from shared import cursor
from shared.cursor import CursorInvalid


@pytest.mark.parametrize("position", [b"", b"\0" * 8, b"\xff" * 24])
def test_a_cursor_comes_back_as_it_went(position: bytes) -> None:
    """What is written is read."""
    assert cursor.read(cursor.write(position), len(position)) == position


def test_an_altered_cursor_is_refused() -> None:
    """No single character of a cursor can be changed, and it fits no list of another kind."""
    text = cursor.write((1234).to_bytes(8, "big"))
    for at, character in enumerate(text):
        with pytest.raises(CursorInvalid):
            cursor.read(text[:at] + ("A" if character != "A" else "B") + text[at + 1 :], 8)
    with pytest.raises(CursorInvalid):
        cursor.read(text, 9)
