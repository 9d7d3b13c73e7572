"""Tokens that we accept are accepted by other libraries too."""

import time
from typing import Any

import jwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey

from shared.tokens.claims import Claims
from shared.tokens.keyring import Keyring
from shared.tokens.verifier import Verifier
from tests.attacks.forge import CLAIMS, HEADER, KEYRING, SECRET, token

VERIFIER = Verifier(Keyring(text=KEYRING), issuer="auth", audience="posts", leeway=10)

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


@given(changes=claims, age=st.integers(0, 800), fraction=st.sampled_from([0, 0.5]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pyjwt_and_joserfc_agree(changes: dict[str, Any], age: int, fraction: float) -> None:
    """Every token that passes our checks also passes those of PyJWT and joserfc, with the same claims."""
    now = time.time()
    payload = {**CLAIMS, **changes, "iat": int(now) - age, "exp": int(now) - age + 900 + fraction}
    made = token(HEADER, payload)
    believed = VERIFIER.verify(made, now)
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
