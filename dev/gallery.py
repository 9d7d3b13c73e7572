"""Correctly signed tokens that the services must still refuse, for the console to send.

A page can forge tokens, but the signature check refuses all of them. To show the later checks, these tokens are signed
with the run's real key, which is only a throw-away here.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from dev import Failure
from shared.base64url import encode
from shared.errors import StartupError
from shared.tokens import keyring
from shared.tokens.claims import MAX_NUMERIC_DATE, TYPE
from shared.tokens.keys import Key

YEAR_2000 = 946_684_800
YEAR_2001 = 978_307_200
YEAR_2100 = 4_102_444_800
YEAR_9999 = MAX_NUMERIC_DATE


@dataclass(frozen=True, slots=True)
class Forgery:
    """A token that must be refused, with an explanation for the reader."""

    name: str
    about: str
    token: str


def write(key_file: Path, gallery: Path, now: float) -> int:
    """Write forgeries signed with the first key of the key file, and return how many.

    Only the owner can read the gallery; an existing file is replaced. `now` is in seconds since the epoch.

    Raises:
        Failure: the key file can't be used.
    """
    try:
        key = keyring.read(key_file.read_bytes()).signing
    except StartupError as error:
        raise Failure(f"the key file {key_file} can't be used: {error}") from None
    made = [asdict(forgery) for forgery in forgeries(key, now)]
    gallery.unlink(missing_ok=True)
    with os.fdopen(os.open(gallery, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file, indent=2)
    return len(made)


def forgeries(key: Key, now: float) -> Iterator[Forgery]:
    """Yield the forgeries in the order of the checks that refuse them.

    Each is refused at any time. Checks 5 to 12 don't depend on the time. The tokens for check 13 live longer than any
    token may, so they are refused even if the clock is set to a time between their dates. `sub` and `sid` are random.
    """
    claims: dict[str, Any] = {
        "iss": "auth",
        "aud": ["posts"],
        "sub": str(uuid4()),
        "name": "Nobody",
        "scope": "posts:read posts:write",
        "sid": str(uuid4()),
        "jti": str(uuid4()),
        "iat": int(now),
        "exp": int(now) + 900,
    }

    def forgery(name: str, about: str, *, typ: str = TYPE, payload: str | None = None, **changes: object) -> Forgery:
        return Forgery(name, about, _signed(key, typ, payload or _json({**claims, **changes})))

    yield forgery(
        "ID token",
        "Its `typ` is `JWT`, as in an ID token, which tells an app who signed in. An access token must say `at+jwt`, "
        "so that no other kind of token can be used as one.",
        typ="JWT",
    )
    yield forgery(
        "Duplicate claim",
        "It has two `sub` claims with different users. Some parsers use the first and others the last, so a service "
        "that accepted it could act for the wrong user.",
        payload=_json({"sub": str(uuid4())})[:-1] + "," + _json(claims)[1:],
    )
    yield forgery(
        "No expiry",
        "It has no `exp`, so it would never expire. Many JWT libraries accept that. These services require an expiry.",
        payload=_json({name: value for name, value in claims.items() if name != "exp"}),
    )
    yield forgery(
        "Expiry as text",
        "Its `exp` is a string instead of a number. Code that compares it as text, or skips it, might never see the "
        "token expire.",
        exp=str(int(now) + 900),
    )
    yield forgery(
        "Wrong issuer",
        "Its `iss` names another issuer. The signature is right, as it would be if two systems used the same key.",
        iss="another-issuer",
    )
    yield forgery(
        "Wrong audience",
        "Its `aud` names another service, which would accept it. Without this check, any service that receives a token "
        "could use it at every other service as if it were the user.",
        aud=["payroll"],
    )
    yield forgery(
        "Expired",
        "It expired on 1 January 2001. A stolen token works only until it expires, so these services issue tokens "
        "that last for minutes.",
        iat=YEAR_2000,
        exp=YEAR_2001,
    )
    yield forgery(
        "Not yet valid",
        "Its `nbf` says that it isn't valid before the year 2100.",
        iat=YEAR_2000,
        nbf=YEAR_2100,
        exp=YEAR_9999,
    )
    yield forgery(
        "Issued in the future",
        "Its `iat` says that it was issued in the year 2100. Either the token was made up or a clock is wrong.",
        iat=YEAR_2100,
        exp=YEAR_9999,
    )
    yield forgery(
        "Lives too long",
        "It was issued in 2000 and expires in 2100. A token can't be revoked, so no token may be valid for more than "
        "24 hours.",
        iat=YEAR_2000,
        exp=YEAR_2100,
    )


def _signed(key: Key, typ: str, payload: str) -> str:
    header = _json({"alg": key.alg, "kid": key.kid, "typ": typ})
    signing_input = f"{encode(header.encode())}.{encode(payload.encode())}"

    return f"{signing_input}.{encode(key.sign(signing_input.encode()))}"


def _json(members: Mapping[str, object]) -> str:
    return json.dumps(members, separators=(",", ":"))
