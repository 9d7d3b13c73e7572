"""Minted tokens, read with a library other than the one that signed them."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest

from auth_service.model import Role, User
from auth_service.signing import Signer
from shared.tokens.claims import MAX_BYTES
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier
from tests.attacks.forge import KEYRING, KID, NOW, OTHER_KEYRING, OTHER_KID, OTHER_SECRET, SECRET
from tests.auth_service.alone import claims_of


def user(name: str = "Ada", role: Role = "user") -> User:
    """A user with this name and role."""
    moment = datetime.fromtimestamp(NOW, UTC)
    return User(uuid4(), "ada@example.com", name, role, None, moment, moment)


@pytest.fixture
def signer() -> Signer:
    """A signer whose tokens are for two services."""
    return Signer(
        Keyring(text=KEYRING),
        Keyring(text=OTHER_KEYRING),
        issuer="auth",
        audiences=["posts", "invoices"],
        own_audience="auth",
        lifetime=900,
    )


def test_an_access_token_has_these_claims_and_no_others(signer: Signer) -> None:
    """A token has exactly the documented header and claims, and so no e-mail address."""
    ada, session = user(role="admin"), uuid4()
    made = signer.mint(ada, session, NOW - 60, NOW + 0.9)
    assert jwt.get_unverified_header(made.access) == {"alg": "HS256", "typ": "at+jwt", "kid": KID}
    claims = jwt.decode(
        made.access, SECRET, algorithms=["HS256"], audience="posts", options={"verify_exp": False, "verify_iat": False}
    )
    assert UUID(claims.pop("jti"))
    assert claims == {
        "iss": "auth",
        "aud": ["posts", "invoices"],
        "sub": str(ada.id),
        "name": "Ada",
        "scope": "posts:read posts:write posts:moderate",
        "sid": str(session),
        "iat": NOW,
        "exp": NOW + 900,
    }
    assert (made.expires_in, made.scope) == (900, "posts:read posts:write posts:moderate")


def test_an_account_token_has_these_claims_and_no_others(signer: Signer) -> None:
    """It is for auth alone, signed with auth's own key, and says when the password was entered."""
    ada, session = user(role="admin"), uuid4()
    made = signer.mint(ada, session, NOW - 60.9, NOW + 0.9)
    assert jwt.get_unverified_header(made.account) == {"alg": "HS256", "typ": "at+jwt", "kid": OTHER_KID}
    claims = jwt.decode(
        made.account,
        OTHER_SECRET,
        algorithms=["HS256"],
        audience="auth",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert UUID(claims.pop("jti"))
    assert claims == {
        "iss": "auth",
        "aud": ["auth"],
        "sub": str(ada.id),
        "name": "Ada",
        "scope": "users:admin",
        "sid": str(session),
        "auth_time": NOW - 61,
        "iat": NOW,
        "exp": NOW + 900,
    }


@pytest.mark.parametrize(
    ("role", "scope", "account_scope"),
    [
        ("user", "posts:read posts:write", ""),
        ("moderator", "posts:read posts:write posts:moderate", ""),
        ("admin", "posts:read posts:write posts:moderate", "users:admin"),
    ],
)
def test_the_role_decides_the_scope(signer: Signer, role: Role, scope: str, account_scope: str) -> None:
    """Each role has its own scopes."""
    made = signer.mint(user(role=role), uuid4(), NOW, NOW)
    assert made.scope == scope
    assert claims_of(made.access)["scope"] == scope
    assert claims_of(made.account)["scope"] == account_scope


@pytest.mark.parametrize("name", ["\U0001f989" * 100, '"' * 100, "\\" * 100, "é" * 100])
def test_the_longest_name_fits(signer: Signer, name: str) -> None:
    """A token with the longest possible name is accepted by every service, whatever the characters."""
    made = signer.mint(user(name), uuid4(), NOW, NOW).access
    assert len(made) < MAX_BYTES
    verifier = Verifier(Keyring(text=KEYRING), issuer="auth", audience="posts", leeway=0)
    assert verifier.verify(made, NOW).name == name


def test_two_tokens_are_never_the_same(signer: Signer) -> None:
    """Two tokens minted for the same user, session and moment differ."""
    ada, session = user(), uuid4()
    one, other = signer.mint(ada, session, NOW, NOW), signer.mint(ada, session, NOW, NOW)
    assert one.access != other.access
    assert one.account != other.account


def test_a_token_that_is_too_large_is_not_issued(keyring_file: Path) -> None:
    """A token over the verifier's size limit is a configuration error, and the signer reports it."""
    signer = Signer(
        Keyring(file=keyring_file),
        Keyring(text=OTHER_KEYRING),
        issuer="auth",
        audiences=["a" * 200] * 20,
        own_audience="auth",
        lifetime=900,
    )
    with pytest.raises(AssertionError, match="JWT_AUDIENCES"):
        signer.mint(user(), uuid4(), NOW, NOW)
