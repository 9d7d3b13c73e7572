"""Which text is accepted from clients: what Postgres can store, UTF-8 can encode, and a log line can hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function


@dataclass(frozen=True, slots=True)
class Text:
    """A rule for string fields, used as an annotation.

    Args:
        check: Returns the text, or raises PydanticCustomError.
        pattern: The rule as a regular expression (ECMA-262), as nearly as one can express it, for the OpenAPI document.
    """

    check: Callable[[str], str]
    pattern: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}


def fault_in_line(text: str) -> str | None:
    """Return what makes `text` unfit as a single line (a name, a title), or None.

    Refused: control characters (C0, DEL, C1, so also NUL and line breaks), line and paragraph separators, lone
    surrogates.
    """
    if text.isprintable():  # the usual case, decided in C
        return None
    for position, character in enumerate(text):
        if character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029":
            return f"contains the control character U+{ord(character):04X} at position {position}"
        if "\ud800" <= character <= "\udfff":
            return f"contains the lone surrogate U+{ord(character):04X} at position {position}"
    return None


def fault_in_prose(text: str) -> str | None:
    """Return what makes `text` unfit as free text, or None: NUL and lone surrogates are refused, the rest is kept."""
    position = text.find("\0")
    if position >= 0:
        return f"contains a NUL character at position {position}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"contains the lone surrogate U+{ord(text[error.start]):04X} at position {error.start}"
    return None


_NO_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"

# Unicode's Default_Ignorable_Code_Point, bidirectional controls included, without the next two groups. Also
# interlinear annotations, and two characters whose glyph is blank
_INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff"
    r"\uffa0\ufff0-\ufffb"
    # not raw: JSON Schema has no escape for these
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# they shape the characters beside them, in emoji, Persian and many Indian scripts
_JOINERS = r"\u200c\u200d"
# they choose how the character before them looks, as in emoji and in Japanese names
_SELECTORS = r"\u180b-\u180d\u180f\ufe00-\ufe0f" "\U000e0100-\U000e01ef"

_BLANK = rf"[^\S{_NO_CONTROL}\ufeff]"
_VISIBLE = rf"[^\s{_NO_CONTROL}{_INVISIBLE}{_JOINERS}{_SELECTORS}]"
_HIDDEN = re.compile(
    rf"[{_INVISIBLE}]"
    rf"|(?<![^\s{_INVISIBLE}{_JOINERS}])[{_JOINERS}]|[{_JOINERS}](?!{_VISIBLE})"
    rf"|(?<!{_VISIBLE})[{_SELECTORS}]"
)


def fault_in_name(text: str) -> str | None:
    """Return what makes `text` unfit as the name of a person, or None.

    Refused is what `fault_in_line` refuses, and characters that nobody can see or that change the order in which others
    are shown. Joiners (U+200C, U+200D) are kept between two visible characters, variation selectors after one.
    """
    if fault := fault_in_line(text):
        return fault
    found = _HIDDEN.search(text)
    return found and f"contains the invisible character U+{ord(found[0]):04X} at position {found.start()}"


def _line(text: str) -> str:
    if fault := fault_in_line(text):
        raise PydanticCustomError("text_refused", "it {fault}; send one line of plain text", {"fault": fault})
    if not text.strip():
        raise PydanticCustomError("text_blank", "it is blank; send at least one visible character")
    return text


def _title(text: str) -> str:
    if not re.search(_VISIBLE, _line(text)):
        raise PydanticCustomError("text_blank", "it shows nothing; send at least one visible character")
    return text


def _name(text: str) -> str:
    if fault := fault_in_name(text):
        raise PydanticCustomError("text_refused", "it {fault}; remove that character", {"fault": fault})
    return _line(text)


def _prose(text: str) -> str:
    if fault := fault_in_prose(text):
        raise PydanticCustomError("text_refused", "it {fault}; remove that character", {"fault": fault})
    return text


LINE = Text(_line, rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$")
"""A single line with at least one visible character."""

TITLE = Text(_title, rf"^[^{_NO_CONTROL}]*{_VISIBLE}[^{_NO_CONTROL}]*$")
"""A single line that shows something. Invisible characters are kept beside visible ones.

A title may be in any script, and right-to-left text may need marks. It names nobody, so hidden characters in it can't
make one user look like another.
"""

NAME = Text(
    _name,
    rf"^{_BLANK}*{_VISIBLE}[{_SELECTORS}]?(?:(?:[{_JOINERS}]|{_BLANK}*){_VISIBLE}[{_SELECTORS}]?)*{_BLANK}*$",
)
"""The name of a person: a single line without invisible characters."""

PROSE = Text(_prose, r"^[^\u0000]*$")
"""Free text."""
