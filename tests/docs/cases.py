"""Valid and invalid tokens that every service must judge alike, whatever stack it is written in."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from shared.base64url import decode
from tests.attacks import forge
from tests.attacks.forge import ABSENT


@dataclass(frozen=True)
class Forger:
    """Makes tokens with the real signing key."""

    secret: bytes
    kid: str

    @classmethod
    def of(cls, keyring: Path, position: int = 0) -> Self:
        """Make a forger with the key at this position in the key file."""
        entry = json.loads(keyring.read_text())["keys"][position]
        return cls(decode(entry["k"]), entry["kid"])

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for both resource services with these changes; exp, iat and nbf are in seconds from now."""
        now = int(time.time())
        times = {name: now + claims.pop(name, start) for name, start in (("iat", -60), ("exp", 840))}
        if "nbf" in claims:
            times["nbf"] = now + claims.pop("nbf")
        whole = {**forge.CLAIMS, "aud": ["posts", "notes"], **times, **claims}
        return forge.token({**forge.HEADER, "kid": self.kid, **(header or {})}, whole, secret=self.secret)

    def without(self, claim: str) -> str:
        """A token without this claim."""
        head, payload, _ = self.token().split(".")
        claims = json.loads(decode(payload))
        del claims[claim]
        return self.signed(head, forge.encoded(claims))

    def signed(self, head: str, payload: str, digest: str = "sha256") -> str:
        """A token with these segments and a valid signature."""
        return f"{head}.{payload}.{forge.sign(f'{head}.{payload}', self.secret, digest)}"

    def under_sha512(self) -> str:
        """A token that is correctly signed with the key, but with another algorithm."""
        head, payload, _ = self.token({"alg": "HS512"}).split(".")
        return self.signed(head, payload, "sha512")

    def unsigned(self, alg: str) -> str:
        """A token without a signature, with this `alg` in its header."""
        return self.token({"alg": alg}).rpartition(".")[0] + "."

    def altered(self, segment: int, change: Callable[[dict[str, Any]], None]) -> str:
        """A token whose header (0) or payload (1) was changed after signing."""
        segments = self.token().split(".")
        content = json.loads(decode(segments[segment]))
        change(content)
        segments[segment] = forge.encoded(content)
        return ".".join(segments)


@dataclass(frozen=True)
class Case:
    """A token, and the error code that the third service answers with, or None if it accepts the token."""

    name: str
    code: str | None
    make: Callable[[Forger], str]


CASES = [
    Case("as it should be", None, lambda by: by.token()),
    Case("for notes alone", None, lambda by: by.token(aud=["notes"])),
    Case("typ in capitals", None, lambda by: by.token({"typ": "AT+JWT"})),
    Case("expired within the leeway", None, lambda by: by.token(exp=-5)),
    Case("issued a little ahead", None, lambda by: by.token(iat=5)),
    Case("no token at all", "token_malformed", lambda _: "nonsense"),
    Case("two segments", "token_malformed", lambda by: by.token().rpartition(".")[0]),
    Case("not ASCII", "token_malformed", lambda by: by.token() + "é"),
    Case("scope altered", "token_signature_invalid", lambda by: by.altered(1, lambda c: c.update(scope="notes:write"))),
    Case("sub altered", "token_signature_invalid", lambda by: by.altered(1, lambda c: c.update(sub=c["sid"]))),
    Case("header altered", "token_signature_invalid", lambda by: by.altered(0, lambda h: h.update(cty="x"))),
    Case("signature cut off", "token_signature_invalid", lambda by: by.token().rpartition(".")[0] + "."),
    Case("another key under this kid", "token_signature_invalid", lambda by: Forger(bytes(32), by.kid).token()),
    Case("a key that is not in the file", "token_key_unknown", lambda _: Forger(forge.SECRET, forge.KID).token()),
    Case("no kid", "token_malformed", lambda by: by.token({"kid": ABSENT})),
    Case("kid is a number", "token_malformed", lambda by: by.token({"kid": 7})),
    Case("alg none", "token_algorithm_refused", lambda by: by.unsigned("none")),
    Case("alg None", "token_algorithm_refused", lambda by: by.unsigned("None")),
    Case("alg HS512, well signed", "token_algorithm_refused", lambda by: by.under_sha512()),
    Case("alg RS256", "token_algorithm_refused", lambda by: by.token({"alg": "RS256"})),
    Case("no alg", "token_algorithm_refused", lambda by: by.token({"alg": ABSENT})),
    Case("crit", "token_header_refused", lambda by: by.token({"crit": ["x"], "x": 1})),
    Case("another kind of JWT", "token_type_wrong", lambda by: by.token({"typ": "JWT"})),
    Case("no typ", "token_type_wrong", lambda by: by.token({"typ": ABSENT})),
    Case("of another issuer", "token_issuer_wrong", lambda by: by.token(iss="other")),
    Case("for other services", "token_audience_wrong", lambda by: by.token(aud=["posts", "billing"])),
    Case("expired", "token_expired", lambda by: by.token(exp=-30)),
    Case("issued in the future", "token_issued_in_future", lambda by: by.token(iat=60)),
    Case("not valid yet", "token_not_yet_valid", lambda by: by.token(nbf=60)),
    *(
        Case(f"no {claim}", "token_claim_missing", partial(Forger.without, claim=claim))
        for claim in ("iss", "aud", "sub", "scope", "iat", "exp")
    ),
]
