"""The limit on nested JSON is the same in bodies and tokens, and on every version of Python."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import strict_json
from shared.tokens.errors import TokenRefused
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier
from tests.api_client import Pair
from tests.attacks import forge

BOUND = 64
TOO_DEEP = "it is nested more than 64 levels deep"


def objects(levels: int) -> bytes:
    """Objects nested `levels` deep."""
    return b'{"a":' * levels + b"1" + b"}" * levels


def arrays(levels: int) -> bytes:
    """Arrays nested `levels` deep."""
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("nested", [objects, arrays])
def test_64_levels_are_accepted_and_65_refused(nested: Callable[[int], bytes]) -> None:
    """Objects and arrays each count as a level; siblings don't add to the depth."""
    strict_json.loads(nested(BOUND))
    strict_json.loads(b"[%s]" % b",".join([nested(BOUND - 1)] * 3))
    for levels in (BOUND + 1, 500):
        with pytest.raises(strict_json.NotStrict, match=TOO_DEEP):
            strict_json.loads(nested(levels))
    with pytest.raises(strict_json.NotStrict, match=TOO_DEEP):
        strict_json.loads(b"[1, %s]" % nested(BOUND))


async def test_a_body_nested_too_deeply_is_refused(pair: Pair) -> None:
    """A body may have 64 levels; with 65 it is refused, and the error names the limit."""

    async def register(levels: int) -> tuple[int, str, str]:
        headers = {"Content-Type": "application/json"}
        reply = await pair.call("POST", f"{pair.auth}/register", data=objects(levels), headers=headers)
        return reply.status, reply.code, reply.body["detail"]

    assert (await register(BOUND))[:2] == (422, "validation_failed")
    status, code, detail = await register(BOUND + 1)
    assert (status, code) == (400, "body_malformed")
    assert TOO_DEEP in detail


def test_a_token_nested_too_deeply_is_refused() -> None:
    """A payload may have 64 levels; with 65 it is refused, and the error names the limit."""
    verifier = Verifier(Keyring(text=forge.KEYRING), issuer="auth", audience="posts", leeway=10)

    def nested(levels: int) -> object:
        return [] if levels == 1 else [nested(levels - 1)]

    assert verifier.verify(forge.with_claims(x=nested(BOUND - 1)), forge.NOW).name == "Mallory"
    with pytest.raises(TokenRefused, match=TOO_DEEP) as refused:
        verifier.verify(forge.with_claims(x=nested(BOUND)), forge.NOW)
    assert (refused.value.code, refused.value.check) == ("token_malformed", 9)


@pytest.mark.parametrize("character", ["[", "{", ",", ":", '"', "\\"])
def test_a_string_may_have_any_characters(character: str) -> None:
    """The longest post is accepted even if it consists of characters that have a meaning outside strings."""
    post = {"title": "A title", "body": character * 100_000, "tags": ["a", "b"]}
    assert strict_json.loads(json.dumps(post).encode()) == post


@pytest.mark.parametrize("item", [b"[]", b"{}", b"0", b'""', b'"\\""', b'{"a":0}'])
def test_the_number_of_values_is_bounded(item: bytes) -> None:
    """Megabytes of small values, in an array or in an object, are refused before they are parsed."""
    members = b",".join(b'"%d":%s' % (number, item) for number in range(100_000))
    for data in (b"[" + b",".join([item] * 500_000) + b"]", b'{"a":{' + members + b"}}", b'"' * 1_000_001):
        with pytest.raises(strict_json.NotStrict, match="more than 1000 members and items"):
            strict_json.loads(data)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(st.sampled_from('a\\"[]{},:\u2028é')),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=3), inner, max_size=12),
    max_leaves=40,
)


@given(value=_VALUES, ascii_only=st.booleans())
@settings(deadline=None)
def test_values_are_counted_as_a_parser_counts_them(value: object, *, ascii_only: bool) -> None:
    """A value is refused for its size exactly if it has more than the limit, whatever its strings contain."""

    def count(value: object) -> int:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        # an empty array or object counts as much as one with a single value
        return max(isinstance(value, dict | list), len(children)) + sum(map(count, children))

    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "MAX_VALUES", 20)
        if count(value) <= strict_json.MAX_VALUES:
            assert strict_json.loads(data) == value
        else:
            with pytest.raises(strict_json.NotStrict, match="more than 20 members and items"):
                strict_json.loads(data)
