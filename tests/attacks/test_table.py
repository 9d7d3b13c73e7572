"""The attack table: every row against the verifier, and one row per code over HTTP against each service."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from shared.tokens.errors import TokenRefused
from shared.tokens.verifier import Verifier
from tests.api_client import Pair, auth_app, posts_app, served
from tests.attacks.backends import BACKENDS, verifier_on
from tests.attacks.forge import CLAIMS, HEADER, KEYRING, NOW, OTHER_KEYRING, SECRET, b64, encoded, sign
from tests.attacks.table import LEEWAY, Attack, table
from tests.postgres import Server
from tests.raw_http import exchange

ATTACKS = list(table())
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "errors.md"


def documented_checks() -> Mapping[str, Collection[int]]:
    """The checks that docs/errors.md gives for each token code."""
    rows = re.findall(r"^\| 401 \| `(token_\w+)` \| ([0-9–, ]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    found = {}
    for code, text in rows:
        ends = [[int(end) for end in part.split("–")] for part in text.split(", ")]
        found[code] = {number for part in ends for number in range(part[0], part[-1] + 1)}
    return found


CHECKS = documented_checks()

DEL = "\x7f"
OVER_HTTP = [
    *{attack.code: attack for attack in reversed(ATTACKS)}.values(),  # the first row of each code
    # tokens that might be read differently because of the syntax of HTTP headers
    *(attack for attack in ATTACKS if re.search(r"[^\w.-]", attack.token, re.ASCII) and DEL not in attack.token),
]


@pytest.fixture(scope="module", params=BACKENDS)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    """A verifier of the posts service, on each library that could compute the signatures."""
    return verifier_on(request.param, LEEWAY)


@pytest.fixture(scope="module")
async def attacked(database_server: Server) -> AsyncIterator[Pair]:
    """Both services, with the key and the time that the table was made for."""
    databases = await database_server.create_database(), await database_server.create_database()
    keyrings: dict[str, Any] = {"jwt_keyring": OTHER_KEYRING, "account_keyring": KEYRING}
    async with (
        served(auth_app(databases[0], None, clock=lambda: NOW, **keyrings)) as auth,
        served(posts_app(databases[1], None, clock=lambda: NOW, jwt_keyring=KEYRING)) as posts,
        ClientSession() as http,
    ):
        yield Pair(auth, posts, http)
    for database in databases:
        await database_server.drop_database(database)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_verifier(verifier: Verifier, attack: Attack) -> None:
    """A bad token is refused with its code, by a check documented for that code; a good one is accepted; both twice."""
    for _ in range(2):
        found = refusal(verifier, attack.token)
        if attack.code is None:
            assert found is None
        else:
            assert found is not None
            check, code = found
            assert code == attack.code
            assert check in CHECKS[code]


@pytest.mark.parametrize("character", ["\n", "\r\n", "\0", "\x0b", "\u2028", "\u00a0"])
@pytest.mark.parametrize("at", [0, 10, -1])
def test_characters_that_no_header_can_carry(verifier: Verifier, character: str, at: int) -> None:
    """The verifier itself refuses line breaks, NUL and other white space anywhere in a token."""
    good = ATTACKS[0].token
    where = at if at >= 0 else len(good)
    assert refusal(verifier, good[:where] + character + good[where:]) in (
        (1, "token_malformed"),
        (2, "token_malformed"),
    )


@pytest.mark.slow
def test_the_parts_of_python_jose_that_are_not_needed_stay_out() -> None:
    """Neither service ever imports jose.jwe or jose.jwt."""
    code = (
        "import sys, auth_service.__main__, posts_service.__main__; print({'jose.jwe', 'jose.jwt'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def ask(base: str, path: str, token: str) -> tuple[bytes, dict[str, str], Any]:
    """Send a token that a client library might refuse to send; return the status line, headers and body."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    status, headers, body = await exchange(base, request.encode())
    return status, headers, json.loads(body)


@pytest.mark.parametrize("attack", OVER_HTTP, ids=lambda attack: attack.name)
@pytest.mark.parametrize("service", ["auth", "posts"])
async def test_over_http(attacked: Pair, service: str, attack: Attack) -> None:
    """Both services answer a bad token with 401, its code and an RFC 6750 challenge; auth also requires a session."""
    base, path = (attacked.auth, "/me") if service == "auth" else (attacked.posts, "/posts")
    status, headers, body = await ask(base, path, attack.token)
    if attack.code is None and service == "posts":
        assert status == b"HTTP/1.1 200 OK"
        return
    assert status == b"HTTP/1.1 401 Unauthorized"
    assert body["code"] == (attack.code or "session_ended")
    assert body.get("check", "") in CHECKS.get(body["code"], ("",))
    challenge = headers["WWW-Authenticate"]
    assert challenge.startswith(f'Bearer realm="{service}", error="invalid_token", error_description="')
    assert challenge.count('"') == 6
    assert attack.token[:60] not in json.dumps(body) + challenge


def test_every_code_is_tested_over_http() -> None:
    """The rows sent over HTTP cover every token code in docs/errors.md."""
    assert {attack.code for attack in OVER_HTTP} - {None} == CHECKS.keys()


@pytest.mark.parametrize("service", ["auth", "posts"])
async def test_del_is_not_http(attacked: Pair, service: str) -> None:
    """DEL can't be part of a header, so a request with it is malformed."""
    base, path = (attacked.auth, "/me") if service == "auth" else (attacked.posts, "/posts")
    [attack] = [attack for attack in ATTACKS if DEL in attack.token]
    status, _, body = await ask(base, path, attack.token)
    assert (status, body["code"]) == (b"HTTP/1.1 400 Bad Request", "request_malformed")


Spec = dict[str, Any]
Break = tuple[str, int, str, Callable[[Spec], None]]


def _set(part: str, name: str, value: object) -> Callable[[Spec], None]:
    return lambda spec: spec[part].update({name: value})


def _flag(name: str) -> Callable[[Spec], None]:
    return lambda spec: spec.update({name: True})


# in the order of the checks: the part that is broken, the check's number, the code, and how to break it
BREAKS: list[Break] = [
    ("size", 1, "token_too_large", _set("claims", "padding", "x" * 4096)),
    ("end", 1, "token_malformed", _flag("not_ascii")),
    ("dots", 2, "token_malformed", _flag("four_segments")),
    ("padding", 2, "token_malformed", _flag("padded")),
    ("header", 3, "token_malformed", _flag("duplicate_in_header")),
    ("crit", 4, "token_header_refused", _set("header", "crit", ["exp"])),
    ("typ", 5, "token_type_wrong", _set("header", "typ", "JWT")),
    ("kid", 6, "token_malformed", _set("header", "kid", 7)),
    ("kid", 6, "token_key_unknown", _set("header", "kid", "unknown")),
    ("alg", 7, "token_algorithm_refused", _set("header", "alg", "none")),
    ("signature", 8, "token_signature_invalid", _set("options", "secret", SECRET[::-1])),
    ("payload", 9, "token_malformed", _flag("duplicate_in_payload")),
    ("jti", 10, "token_claim_missing", lambda spec: spec["claims"].pop("jti")),
    ("scope", 11, "token_claim_invalid", _set("claims", "scope", 7)),
    ("iss", 12, "token_issuer_wrong", _set("claims", "iss", "other")),
    ("aud", 12, "token_audience_wrong", _set("claims", "aud", ["other"])),
    ("exp", 13, "token_expired", _set("claims", "exp", NOW - 30)),
    ("nbf", 13, "token_not_yet_valid", _set("claims", "nbf", NOW + 30)),
    ("iat", 13, "token_issued_in_future", _set("claims", "iat", NOW + 30)),
    ("lifetime", 13, "token_claim_invalid", lambda spec: spec["claims"].update(iat=NOW - 90_000)),
]


def broken(*breaks: Break) -> str:
    """A token with all of these faults at once."""
    spec: Spec = {"header": dict(HEADER), "claims": dict(CLAIMS), "options": {}}
    for *_, how in breaks:
        how(spec)
    head, payload = encoded(spec["header"]), encoded(spec["claims"])
    if spec.get("duplicate_in_header"):
        head = _duplicated(head)
    if spec.get("duplicate_in_payload"):
        payload = _duplicated(payload)
    made = f"{head}.{payload}.{sign(f'{head}.{payload}', **spec['options'])}"
    if spec.get("four_segments"):
        made += ".x"
    if spec.get("padded"):
        made += "="
    return made + "é" if spec.get("not_ascii") else made


def _duplicated(segment: str) -> str:
    return b64(b64_decode(segment)[:-1] + b',"x":1,"x":2}')


def b64_decode(segment: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def refusal(verifier: Verifier, token: str) -> tuple[int, str] | None:
    """The number of the check that refuses the token, and its code; None if the token is accepted."""
    try:
        verifier.verify(token, NOW)
    except TokenRefused as problem:
        return problem.check, problem.code
    return None


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: f"{one[0]} {one[2]}")
def test_one_thing_wrong(verifier: Verifier, one: Break) -> None:
    """A token with a single fault is refused by the check for that fault, with its code."""
    assert refusal(verifier, broken(one)) == one[1:3]


def test_of_two_faults_the_earlier_check_answers(verifier: Verifier) -> None:
    """For every pair of faults, the answer is that of the earlier check."""
    pairs = [(first, second) for first, second in combinations(BREAKS, 2) if first[0] != second[0]]
    assert len(pairs) > 180
    for first, second in pairs:
        if {first[0], second[0]} == {"iat", "lifetime"}:
            continue  # both set iat
        assert refusal(verifier, broken(first, second)) == first[1:3], (first[:3], second[:3])
