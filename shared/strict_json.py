"""JSON that means one thing: UTF-8 only, no duplicate names, no NaN or Infinity, bounded nesting."""

import json
from typing import NoReturn


class NotStrict(ValueError):
    """The text is not one strict JSON value; `str(error)` says why, without quoting the text."""


def loads(data: bytes) -> object:
    """Parse one JSON value (RFC 8259) as this project accepts it.

    RFC 8259 leaves open what a duplicate name means, and parsers disagree; a signed document that two readers
    understand differently is how checks get bypassed, so here it is refused. Lone surrogates written as escapes are
    kept: whoever takes a string out decides about its characters.

    Raises:
        NotStrict: not UTF-8, not JSON, a name twice in one object, NaN or Infinity, an integer of thousands of
            digits, or nesting deeper than the interpreter's limit.
    """
    try:
        return _DECODER.decode(data.decode())
    except NotStrict:
        raise
    except UnicodeDecodeError as error:
        raise NotStrict(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"{error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise NotStrict("it is nested too deeply") from None
    except ValueError:
        raise NotStrict("a number in it has too many digits") from None


def kind(value: object) -> str:
    """Name the JSON type of a parsed value, as it stands in an error: "a string", "an empty list", "null"."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "an object"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a name stands twice in one object")
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise NotStrict(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
