"""Strict JSON: UTF-8 only, no duplicate names, no NaN or Infinity, bounded nesting."""

import json
from typing import NoReturn

MAX_NESTING = 64
"""Arrays and objects inside each other. Our own bound, because the interpreter's differs between versions."""

MAX_VALUES = 1000
"""Members and items in all, at every level; no body or token that we accept has as many. Each costs a thousand times as
much as a byte of text does, so without a bound, a body of 2 MB takes a third of a second to parse."""


class NotStrict(ValueError):
    """The text is not one strict JSON value; `str(error)` says why, without quoting the text."""


def loads(data: bytes) -> object:
    """Parse one JSON value (RFC 8259).

    RFC 8259 leaves the meaning of a duplicate name open, and parsers disagree. Two readers that understand one signed
    document differently are how checks get bypassed, so duplicates are refused. Lone surrogates written as escapes are
    kept; the reader of a string decides about its characters.

    Raises:
        NotStrict: it is not UTF-8 or not JSON, has a name twice in one object, NaN or Infinity, an integer of thousands
            of digits, more than MAX_NESTING levels, or more than MAX_VALUES members and items.
    """
    brackets = _check_size(data)
    try:
        value: object = _DECODER.decode(data.decode())
    except NotStrict:
        raise
    except UnicodeDecodeError as error:
        raise NotStrict(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"{error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise NotStrict(_TOO_DEEP) from None
    except ValueError:
        raise NotStrict("it contains a number with too many digits") from None
    # few brackets can't nest deeply, and that is the usual case
    if brackets > MAX_NESTING and _nests_too_deeply(value):
        raise NotStrict(_TOO_DEEP)
    return value


def kind(value: object) -> str:
    """Name the JSON type of a parsed value, for error messages: "a string", "an empty list", "null"."""
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


def _check_size(data: bytes) -> int:
    """Count members and items without parsing, and return how many brackets open one."""
    # without escapes, each quotation mark begins or ends a string
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if plain.count(b'"') <= 4 * MAX_VALUES:  # a member has a name and perhaps a string
        outside = b"".join(plain.split(b'"')[::2])
        brackets = outside.count(b"[") + outside.count(b"{")
        if brackets + outside.count(b",") <= MAX_VALUES:
            return brackets
    raise NotStrict(f"it has more than {MAX_VALUES} members and items")


def _nests_too_deeply(value: object) -> bool:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a name appears twice in one object")
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise NotStrict(f"{constant} is not a JSON number")


_TOO_DEEP = f"it is nested more than {MAX_NESTING} levels deep"
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
