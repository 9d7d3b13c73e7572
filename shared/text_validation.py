"""Which text is accepted from clients: what Postgres can store, UTF-8 can encode, and a log line can hold."""

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


def _line(text: str) -> str:
    if fault := fault_in_line(text):
        raise PydanticCustomError("text_refused", "it {fault}; send one line of plain text", {"fault": fault})
    if not text.strip():
        raise PydanticCustomError("text_blank", "it is blank; send at least one visible character")
    return text


def _prose(text: str) -> str:
    if fault := fault_in_prose(text):
        raise PydanticCustomError("text_refused", "it {fault}; remove that character", {"fault": fault})
    return text


_NO_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"

LINE = Text(_line, rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$")
"""A single line with at least one visible character."""

PROSE = Text(_prose, r"^[^\u0000]*$")
"""Free text."""
