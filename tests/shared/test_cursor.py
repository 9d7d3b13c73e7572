"""Writing and reading cursors."""

import pytest

from shared import cursor
from shared.cursor import CursorInvalid


@pytest.mark.parametrize("position", [b"", b"\0" * 8, b"\xff" * 24])
def test_a_cursor_holds_its_position(position: bytes) -> None:
    """Reading a cursor returns the position that was written."""
    assert cursor.read(cursor.write(position), len(position)) == position


def test_an_altered_cursor_is_refused() -> None:
    """A cursor with any character changed, or of another length than expected, is refused."""
    text = cursor.write((1234).to_bytes(8, "big"))
    for at, character in enumerate(text):
        with pytest.raises(CursorInvalid):
            cursor.read(text[:at] + ("A" if character != "A" else "B") + text[at + 1 :], 8)
    with pytest.raises(CursorInvalid):
        cursor.read(text, 9)
