"""The verifier's memo and its error texts. The tokens that it must refuse are in tests/attacks."""

import gc
import json
import tracemalloc

import pytest

from shared.errors import DomainError
from shared.http import problems
from shared.tokens.errors import TokenExpired, TokenKeyUnknown, TokenRefused
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Memo, Verifier
from tests.attacks.forge import CLAIMS, KEYRING, NOW, SECRET, token, with_claims, with_header
from tests.shared.tokens.test_keyring import entry, text

LEEWAY = 10


@pytest.fixture
def keyring() -> Keyring:
    """The keyring of the attack table."""
    return Keyring(text=KEYRING)


@pytest.fixture
def verifier(keyring: Keyring) -> Verifier:
    """A verifier of the posts service."""
    return Verifier(keyring, issuer="auth", audience="posts", leeway=LEEWAY)


def test_a_remembered_token_still_expires(verifier: Verifier) -> None:
    """The expiry of a remembered token is checked at every use."""
    for _ in range(2):
        verifier.verify(token(), NOW)
    assert verifier.remembered == 1
    with pytest.raises(TokenExpired):
        verifier.verify(token(), CLAIMS["exp"] + LEEWAY)
    assert verifier.verify(token(), NOW).name == "Mallory"


def test_a_remembered_token_is_forgotten_with_its_key(keyring: Keyring, verifier: Verifier) -> None:
    """Once its key is retired, even a remembered token is refused."""
    verifier.verify(token(), NOW)
    keyring.current = Keyring(text=text(entry()).decode()).current
    with pytest.raises(TokenKeyUnknown):
        verifier.verify(token(), NOW)
    assert verifier.remembered == 0


def test_only_valid_tokens_are_remembered(verifier: Verifier) -> None:
    """A refused token is not remembered."""
    for bad in (token(secret=SECRET[::-1]), with_claims(exp=NOW - 100), with_header(alg="none"), "x"):
        with pytest.raises(TokenRefused):
            verifier.verify(bad, NOW)
    assert verifier.remembered == 0


def test_a_token_is_remembered_to_the_last_character(verifier: Verifier) -> None:
    """A token that differs from a remembered one in any character is verified again."""
    verifier.verify(token(), NOW)
    with pytest.raises(TokenRefused):
        verifier.verify(token()[:-1], NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"name": "\U0001f989" * 100, "iss": "é" * 255},
        {"aud": ["posts", *(f"a{n}" for n in range(300))]},
        {"scope": " ".join(f"a{n}" for n in range(300))},
        {"iat": NOW - 0.5, "exp": NOW + 0.5, "nbf": NOW - 0.25},
    ],
    ids=["usual", "wide characters", "many audiences", "many scopes", "fractions"],
)
@pytest.mark.slow
def test_the_memo_is_bounded_in_bytes(keyring: Keyring, claims: dict[str, object]) -> None:
    """However large the claims are, the memo stays below its limit in bytes and keeps the newest tokens."""
    limit = 300_000
    issuer = str(claims.get("iss", "auth"))
    verifier = Verifier(keyring, issuer=issuer, audience="posts", leeway=LEEWAY)
    memo, keys = Memo(limit), keyring.current
    made = [with_claims(**claims, jti=f"{number:036}") for number in range(400)]
    verifier.verify(made[0], NOW)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    memo.get("", keys)
    for one in made:
        copy = (one + ".")[:-1]
        memo.put(copy, Verifier(keyring, issuer=issuer, audience="posts", leeway=LEEWAY).verify(copy, NOW))
        del copy
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0 < len(memo) < len(made)
    assert memo.size <= limit
    assert taken <= limit
    assert memo.get(made[-1], keys) is not None
    assert memo.get(made[0], keys) is None


def test_the_least_recently_used_token_is_forgotten_first(keyring: Keyring) -> None:
    """A token in constant use outlives those that are used once."""
    verifier = Verifier(keyring, issuer="auth", audience="posts", leeway=LEEWAY)
    memo, keys = Memo(60_000), keyring.current
    memo.get("", keys)
    kept = token()
    memo.put(kept, verifier.verify(kept, NOW))
    for number in range(200):
        other = with_claims(jti=f"{number:036}")
        memo.put(other, verifier.verify(other, NOW))
        assert memo.get(kept, keys) is not None


@pytest.mark.parametrize(
    ("refused", "detail", "hint"),
    [
        ("a.b", "Expected 3 segments separated by dots; got 2", None),
        ("a" * 5000, "The token has 5000 bytes; at most 4096 are accepted", None),
        (with_claims(exp=NOW - 12), "The token expired 12 s ago", "Sign in again"),
        (with_claims(nbf=NOW + 11), "The token becomes valid in 11 s", None),
        (with_claims(iat=NOW + 11), "The token was issued 11 s in the future", "clocks"),
        (with_claims(iat=NOW, exp=NOW + 90_000), "at most 86400 s are accepted", None),
        (
            with_claims(aud=["billing"]),
            "This service accepts the audience 'posts'; the token is for 'billing'",
            "JWT_AUDIENCES",
        ),
        (with_claims(iss="other"), "This service trusts the issuer 'auth'; the token is from 'other'", "JWT_ISSUER"),
        (with_header(kid="other"), "The token was signed with the key 'other'; this service has '", "key ids"),
        (with_claims(name="n" * 101), "The claim 'name' must have 1 to 100 characters, but has 101", None),
        (with_claims(sub='"\\\n\x00é'), "but is '?????'", None),
    ],
)
def test_an_error_has_figures_and_a_hint(verifier: Verifier, refused: str, detail: str, hint: str | None) -> None:
    """An error says what was found and what was expected, with a hint if there is something to do about it."""
    with pytest.raises(DomainError) as error:
        verifier.verify(refused, NOW)
    assert detail in error.value.detail
    assert (error.value.hint is None) if hint is None else (hint in str(error.value.hint))
    assert json.loads(problems.answer(error.value, "id").body)["detail"] == error.value.detail
