"""Tokens that we accept are accepted by other libraries too."""

import time
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey

from shared.tokens.claims import Claims
from tests.attacks.backends import BACKENDS, verifier_on
from tests.attacks.forge import CLAIMS, HEADER, SECRET, token

VERIFIERS = {backend: verifier_on(backend, leeway=10) for backend in BACKENDS}

lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=100)
scopes = st.lists(st.text("abcxyz:!#[]~", min_size=1, max_size=12), max_size=5, unique=True)
claims = st.fixed_dictionaries(
    {
        "aud": st.lists(lines, max_size=3).map(lambda others: [*others, "posts"]),
        "sub": st.uuids().map(str),
        "name": lines,
        "scope": scopes.map(" ".join),
        "sid": st.uuids().map(str),
        "jti": lines,
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@given(changes=claims, age=st.integers(0, 800), fraction=st.sampled_from([0, 0.5]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pyjwt_and_joserfc_agree(backend: str, changes: dict[str, Any], age: int, fraction: float) -> None:
    """Every token that passes our checks passes those of PyJWT and joserfc, and says the same to them."""
    now = time.time()
    payload = {**CLAIMS, **changes, "iat": int(now) - age, "exp": int(now) - age + 900 + fraction}
    made = token(HEADER, payload)
    believed = VERIFIERS[backend].verify(made, now)
    assert believed == Claims(
        iss=payload["iss"],
        aud=tuple(payload["aud"]),
        sub=believed.sub,
        name=payload["name"],
        scope=frozenset(payload["scope"].split()),
        sid=believed.sid,
        jti=payload["jti"],
        iat=payload["iat"],
        exp=payload["exp"],
    )
    assert (str(believed.sub), str(believed.sid)) == (payload["sub"], payload["sid"])
    assert jwt.decode(made, SECRET, algorithms=["HS256"], audience="posts", issuer="auth", leeway=10) == payload
    registry = joserfc_jws.JWSRegistry(algorithms=["HS256"])
    registry.max_payload_length = 4096
    decoded = joserfc_jwt.decode(made, OctKey.import_key(SECRET), registry=registry)
    joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": "auth"}, aud={"essential": True, "value": "posts"}, leeway=10
    ).validate(decoded.claims)
    assert decoded.claims == payload
