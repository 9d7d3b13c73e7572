"""The attack table. Each row is a name, a token, and the error code that it must get."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.attacks.forge import ABSENT, CLAIMS, HEADER, KID, NOW, SECRET, b64, encoded, of_size, sign, token
from tests.attacks.forge import with_claims as claims
from tests.attacks.forge import with_header as header

GOOD = token()
LEEWAY = 10

# examples of RFC 7515 appendix A and of RFC 7519 sections 3.1 (same as A.1) and 6.1 (same as A.5): no access tokens
RFC_7515_A1 = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_7515_A2 = (
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
    "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw"
)
RFC_7515_A3 = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC_7515_A4 = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"
    ".AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2Y"
    "BJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
RFC_7515_A6 = '{"payload":"eyJpc3MiOiJqb2UifQ","signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9","signature":"AAAA"}]}'
RFC_7519_UNSECURED = (
    "eyJhbGciOiJub25lIn0"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
)
PUBLIC_KEY = (
    b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
    b"q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n"
)


@dataclass(frozen=True)
class Attack:
    """One row; `code` is None if the token is good."""

    name: str
    token: str
    code: str | None


def table() -> Iterator[Attack]:
    """Yield every row."""
    for group in (
        _size,
        _segments,
        _base64,
        _headers,
        _types,
        _kids,
        _algorithms,
        _signatures,
        _payloads,
        _claims,
        _times,
    ):
        for name, made, code in group():
            yield Attack(f"{group.__name__.strip('_')}: {name}", made, code)


Rows = Iterator[tuple[str, str, str | None]]


def _size() -> Rows:
    yield "the good one", GOOD, None
    yield "4096 bytes", of_size(4096), None
    yield "4097 bytes", of_size(4097), "token_too_large"
    yield "4097 times the letter a", "a" * 4097, "token_too_large"
    yield "not ASCII", GOOD[:-1] + "é", "token_malformed"
    yield "not ASCII and in bytes too large", "é" * 2049, "token_too_large"


def _segments() -> Rows:
    head, payload, signature = GOOD.split(".")
    yield "RFC 7515 A.1", RFC_7515_A1, "token_type_wrong"
    yield "RFC 7515 A.2", RFC_7515_A2, "token_type_wrong"
    yield "RFC 7515 A.3", RFC_7515_A3, "token_type_wrong"
    yield "RFC 7515 A.4", RFC_7515_A4, "token_type_wrong"
    yield "the JSON form of RFC 7515 A.6", RFC_7515_A6, "token_malformed"
    yield "RFC 7519 6.1, unsecured", RFC_7519_UNSECURED, "token_type_wrong"
    yield "one", head, "token_malformed"
    yield "two", f"{head}.{payload}", "token_malformed"
    yield "four", f"{GOOD}.{signature}", "token_malformed"
    yield "five, as an encrypted one has", f"{GOOD}.{signature}.{signature}", "token_malformed"
    yield "empty header", f".{payload}.{signature}", "token_malformed"
    yield "empty payload", f"{head}..{sign(head + '.')}", "token_malformed"
    yield "empty signature", f"{head}.{payload}.", "token_signature_invalid"
    yield "all empty", "..", "token_malformed"
    yield "a dot at the end", f"{GOOD}.", "token_malformed"


def _base64() -> Rows:
    head, payload, signature = GOOD.split(".")
    yield "padded signature", f"{GOOD}=", "token_malformed"
    yield "padded header", f"{head}=.{payload}.{signature}", "token_malformed"
    plus = token(claims={**CLAIMS, "name": "~~~>>>???"})
    assert "-" in plus or "_" in plus
    yield "+ and / instead of - and _", plus.replace("-", "+").replace("_", "/"), "token_malformed"
    # a 32-byte HMAC leaves 2 bits of its last character unused, so 3 other characters decode to the same bytes
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    for other in alphabet:
        if alphabet.index(other) >> 2 == last >> 2 and other != signature[-1]:
            yield f"last character {other} instead of {signature[-1]}", GOOD[:-1] + other, "token_malformed"
    for spare in (b"x", b"xx"):
        odd_head = b64(json.dumps({**HEADER, "p": spare.decode()}).encode())
        if len(odd_head) % 4:
            changed = odd_head[:-1] + alphabet[alphabet.index(odd_head[-1]) + 1]
            yield (
                f"last character of the header, {len(odd_head) % 4} left over",
                f"{changed}.{payload}.{sign(changed + '.' + payload)}",
                "token_malformed",
            )
    yield "a length no base64 has", f"{head}.{payload}.{signature}AA", "token_malformed"
    for strange in (" ", "\t", "%", "\x7f", "~", "*"):
        yield f"{strange!r} inside", f"{head}.{payload[:10]}{strange}{payload[10:]}.{signature}", "token_malformed"


def _headers() -> Rows:
    payload = encoded(CLAIMS)

    def raw(content: bytes) -> str:
        return f"{b64(content)}.{payload}.{sign(b64(content) + '.' + payload)}"

    good = json.dumps(HEADER)
    yield "no JSON", raw(b"{"), "token_malformed"
    yield "a list", raw(b"[]"), "token_malformed"
    yield "a string", raw(b'"at+jwt"'), "token_malformed"
    yield "null", raw(b"null"), "token_malformed"
    yield "UTF-16", raw(good.encode("utf-16-le")), "token_malformed"
    yield "not UTF-8", raw(b'{"alg":"HS256","typ":"at+jwt","kid":"\xff"}'), "token_malformed"
    yield "a byte order mark", raw(b"\xef\xbb\xbf" + good.encode()), "token_malformed"
    yield "two values", raw(good.encode() + b"{}"), "token_malformed"
    yield "NaN", raw(good[:-1].encode() + b', "x": NaN}'), "token_malformed"
    yield "nested 2,000 deep", raw(b"[" * 2000), "token_malformed"
    yield "nested 64 deep", raw(b'{"a":' * 64 + b"1" + b"}" * 64), "token_type_wrong"
    yield "nested 65 deep", raw(b'{"a":' * 65 + b"1" + b"}" * 65), "token_malformed"
    yield "an integer of 2,000 digits", raw(good[:-1].encode() + b', "x": ' + b"9" * 2000 + b"}"), None
    yield "alg twice", raw(good[:-1].encode() + b', "alg": "HS256"}'), "token_malformed"
    yield "kid twice, differently escaped", raw(good[:-1].encode() + b', "k\\u0069d": "x"}'), "token_malformed"
    for name, value in (
        ("crit", ["exp"]),
        ("crit", []),
        ("jku", "https://example.com/keys"),
        ("jwk", {"kty": "oct", "k": "AAAA"}),
        ("x5u", "https://example.com/cert"),
        ("x5c", ["MIIB"]),
        ("b64", False),
        ("b64", True),
        ("crit", None),
    ):
        yield f"{name} {value}", header(**{name: value}), "token_header_refused"
    yield "a name nobody reads", header(cty="JWT", x="y"), None


def _types() -> Rows:
    for kind in ("JWT", "refresh+jwt", "application/at+jwt", "", " at+jwt", 7, True, None, ["at+jwt"], ABSENT):
        yield f"typ {kind!r}" if kind is not ABSENT else "no typ", header(typ=kind), "token_type_wrong"
    for kind in ("AT+JWT", "At+Jwt"):
        yield f"typ {kind!r}", header(typ=kind), None


def _kids() -> Rows:
    for kid in (7, True, None, [KID], {"kid": KID}, ABSENT):
        yield f"kid {kid!r}" if kid is not ABSENT else "no kid", header(kid=kid), "token_malformed"
    for kid in ("", "x", KID.lower(), KID + "\0", "../../etc/passwd", "/dev/null", "' OR 1=1 --", "k" * 2000, "\ud800"):
        yield f"kid {kid[:20]!r}", header(kid=kid), "token_key_unknown"


def _algorithms() -> Rows:
    payload = encoded(CLAIMS)
    for alg in ("none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", None, 256, ["HS256"], ABSENT):
        name = f"alg {alg!r}" if alg is not ABSENT else "no alg"
        yield f"{name}, signed", header(alg=alg), "token_algorithm_refused"
        yield f"{name}, without a signature", f"{encoded({**HEADER, 'alg': alg})}.{payload}.", "token_algorithm_refused"
    for alg, digest in (("HS384", "sha384"), ("HS512", "sha512")):
        yield f"{alg} with our key", token({**HEADER, "alg": alg}, digest=digest), "token_algorithm_refused"
    for alg in ("RS256", "ES256", "PS256", "EdDSA", "dir", "A128KW"):
        yield alg, header(alg=alg), "token_algorithm_refused"
    yield "a public key as HMAC secret", token({**HEADER, "alg": "HS256"}, secret=PUBLIC_KEY), "token_signature_invalid"


def _signatures() -> Rows:
    head, payload, signature = GOOD.split(".")
    changed = encoded({**CLAIMS, "scope": "posts:read posts:write posts:moderate"})
    yield "another payload", f"{head}.{changed}.{signature}", "token_signature_invalid"
    yield "another secret", token(secret=SECRET[::-1]), "token_signature_invalid"
    yield "an empty secret", token(secret=b""), "token_signature_invalid"
    yield "cut short", f"{head}.{payload}.{signature[:-3]}", "token_signature_invalid"
    yield "with more behind it", f"{head}.{payload}.{b64(b'0' * 40)}", "token_signature_invalid"
    yield "all zero", f"{head}.{payload}.{b64(bytes(32))}", "token_signature_invalid"
    yield "of HS512 under HS256", token(digest="sha512"), "token_signature_invalid"
    other_head = encoded({**HEADER, "x": 1})
    yield "of another header", f"{other_head}.{payload}.{signature}", "token_signature_invalid"
    yield (
        "over JSON that means the same",
        f"{head}.{b64(json.dumps(CLAIMS, indent=1).encode())}.{signature}",
        "token_signature_invalid",
    )


def _payloads() -> Rows:
    good = json.dumps(CLAIMS)

    def raw(content: bytes) -> str:
        return token(claims=content)

    yield "no JSON", raw(b"claims"), "token_malformed"
    yield "a list", raw(b"[]"), "token_malformed"
    yield "a byte order mark", raw(b"\xef\xbb\xbf" + good.encode()), "token_malformed"
    yield "UTF-16", raw(good.encode("utf-16-le")), "token_malformed"
    yield "not UTF-8", raw(good.replace("Mallory", "\xff").encode("latin-1")), "token_malformed"
    yield "exp twice", raw(good[:-1].encode() + b', "exp": 9999999999}'), "token_malformed"
    yield (
        "scope twice, differently escaped",
        raw(good[:-1].encode() + b', "sc\\u006fpe": "users:admin"}'),
        "token_malformed",
    )
    yield "a name twice further down", raw(good[:-1].encode() + b', "x": {"a": 1, "a": 2}}'), "token_malformed"
    yield "nested too deep", raw(good[:-1].encode() + b', "x": ' + b"[" * 1300), "token_malformed"
    yield "an unknown claim", claims(email="never@example.com"), None
    yield "written with spaces", raw(json.dumps(CLAIMS, indent=1).encode()), None


BAD_VALUES: tuple[Any, ...] = (None, True, False, "", "x\0y", "\ud800", [], {}, [None], -1, 1.5, 10**400, "x" * 300)


def _claims() -> Rows:
    for name in ("iss", "aud", "sub", "name", "scope", "sid", "jti", "iat", "exp"):
        yield f"no {name}", claims(**{name: ABSENT}), "token_claim_missing"
        for value in BAD_VALUES:
            fits = (
                (name in ("iat", "exp") and value == 1.5)
                or (name == "scope" and value == "")
                or (name == "scope" and value == "x" * 300)
            )
            if not fits:
                yield f"{name} {str(value)[:20]!r}", claims(**{name: value}), "token_claim_invalid"
        for literal in (b"NaN", b"Infinity", b"-Infinity"):
            yield f"{name} {literal.decode()}", _literal(name, literal), "token_malformed"
        yield f"{name} 1e400", _literal(name, b"1e400"), "token_claim_invalid"
        yield f"{name} with 5,000 digits cut to fit", _literal(name, b"9" * 2500), "token_claim_invalid"
    for name in ("sub", "sid"):
        for value in (
            CLAIMS[name].upper(),
            f"{{{CLAIMS[name]}}}",
            f"urn:uuid:{CLAIMS[name]}",
            CLAIMS[name].replace("-", ""),
            f" {CLAIMS[name]}",
        ):
            yield f"{name} {value[:12]}", claims(**{name: value}), "token_claim_invalid"
    yield "aud a string", claims(aud="posts"), "token_claim_invalid"
    yield "aud with a number in it", claims(aud=["auth", "posts", 7]), "token_claim_invalid"
    yield "scope with two spaces", claims(scope="posts:read  posts:write"), "token_claim_invalid"
    yield "scope with a quote", claims(scope='posts:read "'), "token_claim_invalid"
    yield "scope a list", claims(scope=["posts:read"]), "token_claim_invalid"
    yield "name of 100 four-byte characters", claims(name="\U0001f989" * 100), None
    yield "name of 101 characters", claims(name="n" * 101), "token_claim_invalid"
    yield "name with a line break", claims(name="two\nlines"), "token_claim_invalid"
    yield "name of right-to-left marks", claims(name="\u202e\u202d"), None
    yield "iss of somebody else", claims(iss="https://example.com"), "token_issuer_wrong"
    yield "iss in another case", claims(iss="Auth"), "token_issuer_wrong"
    yield "aud of others", claims(aud=["billing"]), "token_audience_wrong"
    yield "aud in another case", claims(aud=["POSTS", "AUTH"]), "token_audience_wrong"


def _times() -> Rows:
    def at(**times: float) -> str:
        return claims(**times)

    edge = NOW - LEEWAY
    yield "exp one second before the leeway ends", at(iat=edge - 100, exp=edge + 1), None
    yield "exp as the leeway ends", at(iat=edge - 100, exp=edge), "token_expired"
    yield "exp one second after", at(iat=edge - 100, exp=edge - 1), "token_expired"
    yield "exp with a fraction inside the leeway", at(iat=edge - 100, exp=edge + 0.5), None
    edge = NOW + LEEWAY
    yield "iat one second inside the leeway", at(iat=edge - 1, exp=edge + 100), None
    yield "iat at the leeway", at(iat=edge, exp=edge + 100), None
    yield "iat one second outside", at(iat=edge + 1, exp=edge + 100), "token_issued_in_future"
    yield "nbf one second inside the leeway", at(nbf=edge - 1), None
    yield "nbf at the leeway", at(nbf=edge), None
    yield "nbf one second outside", at(nbf=edge + 1), "token_not_yet_valid"
    for value in BAD_VALUES:
        if value != 1.5:
            yield f"nbf {str(value)[:20]!r}", claims(nbf=value), "token_claim_invalid"
    yield "24 hours", at(iat=NOW, exp=NOW + 86400), None
    yield "24 hours and a second", at(iat=NOW, exp=NOW + 86401), "token_claim_invalid"
    yield "the year 9999", at(iat=NOW, exp=253_402_300_799), "token_claim_invalid"
    yield "after the year 9999", at(exp=253_402_300_800), "token_claim_invalid"
    yield "zero", at(iat=0, exp=0), "token_expired"


def _literal(name: str, literal: bytes) -> str:
    """A correctly signed token with exactly this text as the value of a claim."""
    text = json.dumps({**CLAIMS, name: "@"}, separators=(",", ":")).encode()
    return token(claims=text.replace(b'"@"', literal))


__all__ = ["GOOD", "LEEWAY", "Attack", "table"]
