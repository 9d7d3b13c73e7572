"""The gallery: tokens that are correctly signed and must still be refused."""

import json
import stat
import time
from pathlib import Path

import jwt
import pytest

from auth_service import keys
from dev import Failure, gallery
from dev.gallery import YEAR_2000, YEAR_2001, YEAR_2100, YEAR_9999
from shared.base64url import decode
from shared.tokens.errors import TokenRefused
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier
from tests.api_client import Pair
from tests.attacks.forge import KEYRING, SECRET

REFUSED = {
    "ID token": (5, "token_type_wrong"),
    "Duplicate claim": (9, "token_malformed"),
    "No expiry": (10, "token_claim_missing"),
    "Expiry as text": (11, "token_claim_invalid"),
    "Wrong issuer": (12, "token_issuer_wrong"),
    "Wrong audience": (12, "token_audience_wrong"),
    "Expired": (13, "token_expired"),
    "Not yet valid": (13, "token_not_yet_valid"),
    "Issued in the future": (13, "token_issued_in_future"),
    "Lives too long": (13, "token_claim_invalid"),
}
MADE = 1_790_000_000
FORGERIES = {each.name: each for each in gallery.forgeries(Keyring(text=KEYRING).current.signing, MADE)}
OFFSETS = (-86_400, -60, -10, -1, 0, 1, 10, 60, 86_400)


def tokens(file: Path) -> dict[str, str]:
    """The tokens of a gallery file, by name."""
    return {each["name"]: each["token"] for each in json.loads(file.read_text())}


async def test_refused_by_both_services(pair: Pair, keyring_file: Path, tmp_path: Path) -> None:
    """Posts refuses each token by the check that it is meant for; auth doesn't take the shared key at all."""
    gallery.write(keyring_file, tmp_path / "gallery.json", time.time())
    at_auth = {name: min(refusal, (6, "token_key_unknown")) for name, refusal in REFUSED.items()}
    for url, refusals in ((f"{pair.posts}/posts", REFUSED), (f"{pair.auth}/me", at_auth)):
        answers = {
            name: await pair.call("GET", url, token=token) for name, token in tokens(tmp_path / "gallery.json").items()
        }
        assert {name: (reply.body["check"], reply.code) for name, reply in answers.items()} == refusals
        assert {reply.status for reply in answers.values()} == {401}


def test_shows_every_check_behind_the_signature() -> None:
    """The gallery has a token for every check after that of the signature."""
    assert {check for check, _ in REFUSED.values()} >= {9, 10, 11, 12, 13}


@pytest.mark.parametrize("audience", ["auth", "posts"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_whenever_it_is_sent(name: str, audience: str) -> None:
    """No clock, right or wrong, and no leeway makes a service accept one of them."""
    # a time at which one is accepted would begin or end at one of its dates
    moments = [base + offset for base in (0, YEAR_2000, YEAR_2001, MADE, YEAR_2100, YEAR_9999) for offset in OFFSETS]
    for leeway in (0, 10, 60):
        verifier = Verifier(Keyring(text=KEYRING), issuer="auth", audience=audience, leeway=leeway)
        for moment in moments:
            with pytest.raises(TokenRefused):
                verifier.verify(FORGERIES[name].token, moment)


def test_signed_by_the_current_first_key(tmp_path: Path) -> None:
    """The first key of the file signs, so after a rotation the next gallery is signed by another one."""
    file = tmp_path / "keyring.json"
    keys.new(file)
    for _ in range(2):
        gallery.write(file, tmp_path / "gallery.json", time.time())
        first = json.loads(file.read_text())["keys"][0]
        for token in tokens(tmp_path / "gallery.json").values():
            whole = jwt.PyJWS().decode_complete(token, decode(first["k"]), algorithms=["HS256"])
            assert whole["header"]["kid"] == first["kid"]
        keys.promote(file, keys.add(file), time.time())


def test_only_the_type_of_the_id_token_is_wrong() -> None:
    """A library that ignores typ accepts the ID token as an access token."""
    token = next(
        each.token
        for each in gallery.forgeries(Keyring(text=KEYRING).current.signing, time.time())
        if each.name == "ID token"
    )
    assert jwt.decode(token, SECRET, algorithms=["HS256"], audience="posts", issuer="auth")["name"] == "Nobody"


def test_users_are_random() -> None:
    """Each gallery has another random user and session."""
    seen = set()
    for _ in range(2):
        made = gallery.forgeries(Keyring(text=KEYRING).current.signing, MADE)
        token = next(each.token for each in made if each.name == "Expired")
        claims = jwt.decode(token, options={"verify_signature": False})
        seen |= {claims["sub"], claims["sid"]}
    assert len(seen) == 4


def test_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """Nobody else can read the file, even if an existing one was readable."""
    file = tmp_path / "gallery.json"
    keys.new(tmp_path / "keyring.json")
    file.touch(0o644)
    assert gallery.write(tmp_path / "keyring.json", file, time.time()) == len(tokens(file)) == len(REFUSED)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_broken_key_file_is_named(tmp_path: Path) -> None:
    """A key file that no service would accept is named in the error, and no gallery is written."""
    (tmp_path / "keyring.json").write_text("{}")
    with pytest.raises(Failure, match=r"keyring\.json can't be used"):
        gallery.write(tmp_path / "keyring.json", tmp_path / "gallery.json", time.time())
    assert not (tmp_path / "gallery.json").exists()
