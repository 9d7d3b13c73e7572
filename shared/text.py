"""Which text is accepted from outside: what Postgres can store, UTF-8 can carry and a log line survives."""

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def fault_in_line(text: str) -> str | None:
    """Say what makes `text` unfit as a single line (a name, a title), or None.

    Refused: control characters (C0, DEL, C1, so also NUL and line breaks), line and paragraph separators, lone
    surrogates.
    """
    if text.isprintable():  # the common case, decided in C
        return None
    for position, character in enumerate(text):
        if character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029":
            return f"holds the control character U+{ord(character):04X} at position {position}"
        if "\ud800" <= character <= "\udfff":
            return f"holds the lone surrogate U+{ord(character):04X} at position {position}"
    return None


def fault_in_prose(text: str) -> str | None:
    """Say what makes `text` unfit as free text, or None. Refused: NUL and lone surrogates; all else is kept as sent."""
    position = text.find("\0")
    if position >= 0:
        return f"holds a NUL character at position {position}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds the lone surrogate U+{ord(text[error.start]):04X} at position {error.start}"
    return None


def _line(text: str) -> str:
    if fault := fault_in_line(text):
        raise PydanticCustomError("text_refused", "it {fault}; send one line of plain text", {"fault": fault})
    if not text.strip():
        raise PydanticCustomError("text_blank", "it is blank; send at least one visible character")
    return text


def _prose(text: str) -> str:
    if fault := fault_in_prose(text):
        raise PydanticCustomError("text_refused", "it {fault}; leave that character out", {"fault": fault})
    return text


LINE = AfterValidator(_line)
"""For a string field of one line that shows something."""

PROSE = AfterValidator(_prose)
"""For a string field of free text."""
