"""Compare two outputs in which ids, keys and times vary.

A value that varies must have the right shape: where the real output has a UUID, the document has one too. Equal values
in a document must be equal in the real output, and different ids and keys must differ. Segments of tokens are decoded
and compared the same way.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from shared.base64url import decode
from tests.docs.blocks import Fence, Untrue

_BASE64URL = "[A-Za-z0-9_-]"
_BEGIN, _END = rf"(?<!{_BASE64URL})", rf"(?!{_BASE64URL})"
_DISTANCE = r"(?:\d+ (?:d|h|min|s) )+"

# the first that matches counts; all other text must be identical
_SHAPES = {
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "part": rf"{_BEGIN}eyJ{_BASE64URL}{{20,}}",
    "refresh_token": rf"{_BEGIN}{_BASE64URL}{{64}}{_END}",
    "signature": rf"{_BEGIN}{_BASE64URL}{{43}}{_END}",
    "request_id": rf"{_BEGIN}[0-9a-f]{{32}}{_END}",
    "moment": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "second": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
    "numeric_date": r"\b1\d{9}\b",
    "past": f"{_DISTANCE}ago",
    "future": f"{_DISTANCE}from now",
    "password_hash": r"(?<=\$)[./\w]{22}\$[./\w]{31}",
}
_CUT = "…"
_CUT_PART = rf"eyJ{_BASE64URL}*{_CUT}"
_KID = rf"{_BASE64URL}{{16}}"
_MEASURED = r"\d+(?:\.\d+)?(?= (?:s|packages)\b)"

_UNIQUE = ("uuid", "part", "refresh_token", "signature", "request_id", "kid", "password_hash")
"""If two of these differ in the document, they must differ in the real output."""

_LOOSE = ("second", "past", "future", "measured")
"""These may change between two commands, so equal values need not stay equal."""


class Comparison:
    """Compares a document's outputs with the real ones, in order.

    Args:
        kids: The ids of the keys that really sign.
        measured: Whether durations and sizes vary too.
    """

    def __init__(self, kids: Iterable[str], *, measured: bool = False) -> None:
        varying = {**_SHAPES, "kid": "|".join(map(re.escape, kids)), **({"measured": _MEASURED} if measured else {})}
        self._shown_shapes = {**varying, "kid": _KID, "part": f"{_SHAPES['part']}|{_CUT_PART}"}
        self._varies = re.compile("|".join(f"(?P<{name}>{shape})" for name, shape in varying.items()))
        self._real_of: dict[tuple[str, str], str] = {}
        self._shown_of: dict[tuple[str, str], str] = {}
        self._since: tuple[int, int] | None = None

    def compare(self, output: Fence, real: str) -> None:
        """Compare one output.

        Raises:
            Untrue: they differ in more than the values that vary.
        """
        self._since = None
        lines = zip_longest(*(_lines(output.kind, text) for text in (output.text, real)))
        for number, (shown_line, real_line) in enumerate(lines, 1):
            try:
                self._line(shown_line, real_line)
            except Untrue as fault:
                raise Untrue(
                    f"line {output.line}, output line {number}: {fault}\nshown: {shown_line}\nreal:  {real_line}"
                ) from None

    def _line(self, shown: str | None, real: str | None) -> None:
        if shown is None or real is None:
            raise Untrue("one output has more lines than the other")
        pattern, values, end = "", [], 0
        for found in self._varies.finditer(real):
            name = str(found.lastgroup)
            pattern += re.escape(real[end : found.start()]) + f"({self._shown_shapes[name]})"
            values.append((name, found[0]))
            end = found.end()
        fitting = re.fullmatch(pattern + re.escape(real[end:]), shown)
        if fitting is None:
            raise Untrue("they differ")
        for (name, real_value), shown_value in zip(values, fitting.groups(), strict=True):
            self._value(name, shown_value, real_value)

    def _value(self, name: str, shown: str, real: str) -> None:
        if name in _LOOSE:
            return
        if shown.endswith(_CUT):
            if not real.startswith(shown.removesuffix(_CUT)):
                raise Untrue(f"{real} does not begin with {shown}")
            return
        if name == "numeric_date":
            self._numeric_date(int(shown), int(real))
        elif self._real_of.setdefault((name, shown), real) != real:
            raise Untrue(f"{shown} stands for {self._real_of[name, shown]}, and for {real}")
        elif name in _UNIQUE and self._shown_of.setdefault((name, real), shown) != shown:
            raise Untrue(f"{shown} and {self._shown_of[name, real]} are the same in the real output: {real}")
        elif name == "part":
            self._line(_decoded(shown), _decoded(real))

    def _numeric_date(self, shown: int, real: int) -> None:
        """Check that the distance from the output's first date is the same as in the real output."""
        if self._since is None:
            self._since = shown, real
        if shown - self._since[0] != real - self._since[1]:
            raise Untrue(f"{shown} is {shown - self._since[0]} s after the first, {real} is {real - self._since[1]} s")


def _lines(kind: str, text: str) -> list[str]:
    if kind != "json":
        return text.rstrip("\n").splitlines()
    return [line for value in _values(text) for line in json.dumps(value, indent=1, ensure_ascii=False).splitlines()]


def _values(text: str) -> Iterator[object]:
    """Yield JSON values that follow each other."""
    rest = text.strip()
    while rest:
        try:
            value, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:
            raise Untrue(f"this is not JSON: {rest}") from None
        yield value
        rest = rest[end:].lstrip()


def _decoded(part: str) -> str:
    try:
        return decode(part).decode()
    except ValueError:
        raise Untrue(f"{part} is not a segment of a token") from None
