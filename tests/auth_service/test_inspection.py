"""The command `token inspect`."""

from pathlib import Path

import pytest

from auth_service.inspection import explain
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier
from tests.attacks.forge import KEYRING, NOW, token, with_claims
from tests.auth_service.commands import Operator

VERIFIER = Verifier(Keyring(text=KEYRING), issuer="auth", audience="posts", leeway=10)


def test_a_token_is_explained_with_its_times_in_words() -> None:
    """The output has the header, the claims, the times in words, and the verdict."""
    text = "\n".join(explain(token(), NOW, [VERIFIER]))
    assert '"alg": "HS256"' in text
    assert '"name": "Mallory"' in text
    assert "iat: 2027-01-15 07:59:00 UTC, 1 min ago" in text
    assert "exp: 2027-01-15 08:14:00 UTC, 14 min from now" in text
    assert "verdict: valid for 'posts'" in text


def test_a_refused_token_is_explained_with_the_code() -> None:
    """The verdict on a bad token is the code and detail that a service would answer with."""
    text = "\n".join(explain(with_claims(aud=["billing"]), NOW, [VERIFIER]))
    assert "verdict: refused by check 12 of 13 (iss and aud), token_audience_wrong: This service accepts" in text
    assert "hint: Add 'posts' to JWT_AUDIENCES" in text


def test_without_a_key_nothing_is_claimed() -> None:
    """Without a key file, the token is decoded, and the output says that nothing was verified."""
    *_, last = explain(token(), NOW, [])
    assert "not verified" in last


def test_nonsense_is_explained_as_far_as_it_goes() -> None:
    """A token that can't be decoded gets a verdict, and the command doesn't fail."""
    for nonsense in (
        "",
        ".",
        "a.b.c",
        "é",
        "e30.e30.",
        token()[:-1],
        with_claims(exp="x"),
        with_claims(exp=10**400),
        with_claims(iat=1e300),
    ):
        assert list(explain(nonsense, NOW, [VERIFIER]))[-1]


def test_control_characters_are_escaped() -> None:
    """Control characters and lone surrogates in a token are shown as escapes."""
    text = "\n".join(explain(with_claims(name="\x1b[31m\x9b\ud800é"), NOW, []))
    assert "\\u001b[31m\\u009b\\ud800é" in text
    assert text.encode()


@pytest.mark.slow
async def test_the_command_reads_a_token_from_standard_input(tmp_path: Path, operator: Operator) -> None:
    """A token comes from standard input, where no process list shows it, with or without a key file."""
    file = tmp_path / "keyring.json"
    file.write_text(KEYRING)
    without = await operator(None, "token", "inspect", given=f"{token()}\n")
    assert "not verified" in without.output
    verified = await operator(
        None, "token", "inspect", "-", given=with_claims(exp=1, iat=0), JWT_KEYRING_FILE=str(file)
    )
    assert "refused by check 13 of 13 (Times), token_expired" in verified.output
    assert (without.status, verified.status) == (0, 0)


@pytest.mark.slow
async def test_a_token_on_the_command_line_is_refused(operator: Operator) -> None:
    """A token as an argument, which everyone on the machine can read, isn't explained or repeated, but how is said."""
    for given in (token(), f"{token()}x"):
        said = await operator(None, "token", "inspect", given)
        assert "everyone on the machine can read a command line; send the token to standard input" in said.refusal
        assert token() not in said.errors
