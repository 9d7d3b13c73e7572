"""The limit on nested JSON is the same in bodies and tokens, and on every version of Python."""

from collections.abc import Callable

import pytest

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
    for levels in (BOUND + 1, 1_000, 100_000):
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


def test_brackets_are_bounded() -> None:
    """A body of megabytes of brackets is refused before it is parsed; the longest post of brackets is not."""
    assert strict_json.loads(b'{"body": "' + b"[" * 100_000 + b'"}')
    for pair in (b"[]", b"{}"):
        with pytest.raises(strict_json.NotStrict, match="brackets"):
            strict_json.loads(b"[" + b",".join([pair] * 700_000) + b"]")
