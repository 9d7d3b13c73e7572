"""Tokens that are well signed and must be refused nevertheless, for the console to send.

What a page can forge by itself ends at the signature. To be refused for what they say, tokens have to be signed, with
the key that really signs; so they are made here alone, where that key is a throw-away.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
    """A token that must be refused, and what a reader is told about it."""

    name: str
    about: str
    token: str


def write(key_file: Path, gallery: Path, now: float) -> int:
    """Sign the forgeries with the first key of the key file, write them for their owner alone, and return their number.

    Args:
        key_file: The key file of the run.
        gallery: Where they go, whole or not at all; what was there is replaced.
        now: Seconds since the epoch; the times of those whose fault is not in them.

    Raises:
        Failure: the key file can't be used, or the gallery can't be written.
    """
    temporary = gallery.with_suffix(".new")
    try:
        key = keyring.read(key_file.read_bytes()).signing
        made = list(forgeries(key, now))
        with suppress(FileNotFoundError):
            temporary.unlink()
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump([asdict(forgery) for forgery in made], file, indent=2)
        temporary.replace(gallery)
    except StartupError as error:
        raise Failure(f"the key file {key_file} can't be used: {error}") from None
    except OSError as error:
        raise Failure(f"{error.filename} can't be read or written: {error.strerror}") from None
    return len(made)


def forgeries(key: Key, now: float) -> Iterator[Forgery]:
    """Make them, in the order of the checks that refuse them.

    Each is refused whenever it is sent. For those of the checks 5 to 12 that is so because these look at no time. Those
    of check 13 live for longer than any token may, so even a clock that is set to between their dates finds a fault.
    They name nobody: `sub` and `sid` are random.
    """
    claims: dict[str, Any] = {
        "iss": "auth",
        "aud": ["auth", "posts"],
        "sub": str(uuid4()),
        "name": "Nobody",
        "scope": "posts:read posts:write",
        "sid": str(uuid4()),
        "jti": str(uuid4()),
        "iat": int(now),
        "exp": int(now) + 900,
    }

    def signed(*, typ: str = TYPE, **changes: object) -> str:
        return _signed(key, typ, _json({**claims, **changes}))

    yield Forgery(
        "ID token",
        "Its `typ` is `JWT`, as in an ID token, which tells an app who signed in. An access token must say `at+jwt`, "
        "so that no other kind of token can be used as one.",
        signed(typ="JWT"),
    )
    yield Forgery(
        "Duplicate claim",
        "It has two `sub` claims with different users. Some parsers use the first and others the last, so a service "
        "that accepted it could act for the wrong user.",
        _signed(key, TYPE, _json({"sub": str(uuid4())})[:-1] + "," + _json(claims)[1:]),
    )
    yield Forgery(
        "No expiry",
        "It has no `exp`, so it would never expire. Many JWT libraries accept that. These services require an expiry.",
        _signed(key, TYPE, _json({name: value for name, value in claims.items() if name != "exp"})),
    )
    yield Forgery(
        "Expiry as text",
        "Its `exp` is a string instead of a number. Code that compares it as text, or skips it, might never see the "
        "token expire.",
        signed(exp=str(int(now) + 900)),
    )
    yield Forgery(
        "Wrong issuer",
        "Its `iss` names another issuer. The signature is right, as it would be if two systems used the same key.",
        signed(iss="another-issuer"),
    )
    yield Forgery(
        "Wrong audience",
        "Its `aud` names another service, which would accept it. Without this check, any service that receives a token "
        "could use it at every other service as if it were the user.",
        signed(aud=["payroll"]),
    )
    yield Forgery(
        "Expired",
        "It expired on 1 January 2001. A stolen token works only until it expires, so these services issue tokens "
        "that last for minutes.",
        signed(iat=YEAR_2000, exp=YEAR_2001),
    )
    yield Forgery(
        "Not yet valid",
        "Its `nbf` says that it isn't valid before the year 2100.",
        signed(iat=YEAR_2000, nbf=YEAR_2100, exp=YEAR_9999),
    )
    yield Forgery(
        "Issued in the future",
        "Its `iat` says that it was issued in the year 2100. Either the token was made up or a clock is wrong.",
        signed(iat=YEAR_2100, exp=YEAR_9999),
    )
    yield Forgery(
        "Lives too long",
        "It was issued in 2000 and expires in 2100. A token can't be revoked, so no token may be valid for more than "
        "24 hours.",
        signed(iat=YEAR_2000, exp=YEAR_2100),
    )


def _signed(key: Key, typ: str, payload: str) -> str:
    header = _json({"alg": key.alg, "kid": key.kid, "typ": typ})
    signing_input = f"{encode(header.encode())}.{encode(payload.encode())}"
    return f"{signing_input}.{encode(key.sign(signing_input.encode()))}"


def _json(members: Mapping[str, object]) -> str:
    return json.dumps(members, separators=(",", ":"))
