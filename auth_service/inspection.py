"""Explains a token to a person: its content, its times in words, and whether it is accepted."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from shared import strict_json
from shared.base64url import decode
from shared.tokens.checks import CHECKS
from shared.tokens.errors import TokenKeyUnknown, TokenRefused
from shared.tokens.verifier import Verifier

_TIMES = ("auth_time", "iat", "nbf", "exp")


def explain(token: str, now: float, verifiers: Sequence[Verifier]) -> Iterator[str]:
    """Yield the lines of the explanation. A token that can't be decoded is explained as far as possible.

    Args:
        token: The token.
        now: Seconds since the epoch.
        verifiers: The first that has the token's key decides; without any, nothing is verified, and the last line says
            so.
    """
    segments = token.split(".")
    for name, segment in zip(("header", "payload"), segments, strict=False):
        content = _decoded(segment)
        text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
        yield f"{name}: {_harmless(text)}"
        if name == "payload" and isinstance(content, dict):
            for claim in _TIMES:
                if claim in content:
                    yield f"{claim}: {_in_words(content[claim], now)}"
    if not verifiers:
        yield "verdict: not verified. Set JWT_KEYRING_FILE to the key file to check the signature."
        return
    yield from _verdict(token, now, verifiers)


def _verdict(token: str, now: float, verifiers: Sequence[Verifier]) -> Iterator[str]:
    for position, verifier in enumerate(verifiers, 1):
        try:
            verifier.verify(token, now)
        except TokenKeyUnknown as error:
            if position == len(verifiers):
                yield from _refusal(error)
        except TokenRefused as error:
            yield from _refusal(error)
            return
        else:
            yield f"verdict: valid for {verifier.audience!r}; all {len(CHECKS)} checks passed"
            return


def _refusal(error: TokenRefused) -> Iterator[str]:
    name = CHECKS[error.check - 1].name
    yield f"verdict: refused by check {error.check} of {len(CHECKS)} ({name}), {error.code}: {error.detail}"
    if error.hint:
        yield f"hint: {error.hint}"


def _harmless(text: str) -> str:
    """Escape what a terminal could take for a command, and what can't be encoded."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


def _decoded(segment: str) -> object:
    try:
        return strict_json.loads(decode(segment))
    except strict_json.NotStrict as error:
        return f"not strict JSON: {error}"
    except ValueError:
        return "not base64url"


def _in_words(value: object, now: float) -> str:
    try:
        moment = datetime.fromtimestamp(float(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        return "not a time"
    distance = abs(round(moment.timestamp() - now))
    parts = [(distance // 86400, "d"), (distance // 3600 % 24, "h"), (distance // 60 % 60, "min"), (distance % 60, "s")]
    words = " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s"
    direction = "ago" if moment.timestamp() <= now else "from now"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {words} {direction}"
