"""The shared secret: a JWK Set (RFC 7517) of HMAC keys, read, checked, and watched for changes.

A key's id is computed from the key. Two services with different secrets can therefore be told apart by their ids, which
are safe to show to anyone.
"""

import asyncio
import binascii
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from shared import strict_json
from shared.base64url import decode, encode
from shared.errors import StartupError
from shared.tokens import signatures
from shared.tokens.keys import Key, KeySet
from shared.tokens.signatures import ALGORITHM

MIN_KEY_BYTES = 32
"""RFC 7518 section 3.2: a key is at least as long as the hash output."""

MAX_FILE_BYTES = 64 * 1024

POLL_SECONDS = 2.0
"""How often a running service checks whether its key file has changed."""

RECHECK_SECONDS = 1.0
"""The shortest time between two checks caused by tokens that name an unknown key."""

_DER_SEQUENCE = 0x30
_DER_LONG_FORM = 0x80
_REMEDY = "make a new one with: python -m auth_service keys new FILE"

_PUBLISHED = frozenset(
    {
        # RFC 7515 appendix A.1
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        # the sample of jwt.io: a-string-secret-at-least-256-bits-long
        "YS1zdHJpbmctc2VjcmV0LWF0LWxlYXN0LTI1Ni1iaXRzLWxvbmc",
        # the sample of FastAPI's security tutorial, 64 hex digits
        "MDlkMjVlMDk0ZmFhNmNhMjU1NmM4MTgxNjZiN2E5NTYzYjkzZjcwOTlmNmYwZjRjYWE2Y2Y2M2I4OGU4ZDNlNw",
    }
)
"""Keys from documents that people copy from, as base64url."""


_log = logging.getLogger(__name__)


def read(text: bytes) -> KeySet:
    """Read a JWK Set.

    Raises:
        StartupError: it is not a JWK Set, or a key in it is unsafe. The message names the key by its position and says
            how to fix it; it never quotes key material.
    """
    if len(text) > MAX_FILE_BYTES:
        raise StartupError(f"the keyring has {len(text)} bytes; at most {MAX_FILE_BYTES} are read")
    try:
        document = strict_json.loads(text)
    except strict_json.NotStrict as error:
        raise StartupError(f"the keyring is not JSON ({error}); {_REMEDY}") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise StartupError(f'the keyring is not a JWK Set with at least one key ({{"keys": [...]}}); {_REMEDY}')
    keys: dict[str, Key] = {}
    for position, entry in enumerate(entries):
        where = f"key {position + 1} of {len(entries)} in the keyring"
        secret, kid = _checked(entry, where)
        if kid in keys:
            raise StartupError(f"{where} is a duplicate (kid {kid}); remove one")
        try:
            keys[kid] = signatures.key(kid, secret)
        except ValueError:
            raise StartupError(f"{where} is an asymmetric key or a certificate, which is public; {_REMEDY}") from None
    return KeySet(keys)


def kid_of(secret: bytes) -> str:
    """Compute a key's id: 96 bits of an HMAC over a constant.

    The constant contains no dot, so it can't be the signing input of any token, and an id never equals part of a
    signature.
    """
    return encode(hmac.digest(secret, b"key id", hashlib.sha256)[:12])


def weakness(secret: bytes) -> str | None:
    """Return what makes `secret` unfit as an HMAC key, or None."""
    if len(secret) < MIN_KEY_BYTES:
        return f"has {len(secret)} bytes, at least {MIN_KEY_BYTES} are needed"
    if encode(secret) in _PUBLISHED:
        return "is a published example that everyone knows"
    if secret.lstrip().startswith((b"-----BEGIN", b"ssh-")) or _is_der(secret):
        return "is an asymmetric key or a certificate, which is public"
    if len(set(secret)) < MIN_KEY_BYTES // 2:
        return f"repeats itself: only {len(set(secret))} different bytes"
    # a hex digit carries 4 bits, so text needs twice the length
    if len(secret) < 2 * MIN_KEY_BYTES and secret.isascii() and secret.decode("ascii").isprintable():
        return f"is text, not random bytes (text needs {2 * MIN_KEY_BYTES} characters)"
    return None


def _checked(entry: object, where: str) -> tuple[bytes, str]:
    if not isinstance(entry, dict):
        raise StartupError(f"{where} is not a JSON object; {_REMEDY}")
    for member, wanted in (("kty", "oct"), ("alg", ALGORITHM), ("use", "sig")):
        if entry.get(member) != wanted:
            raise StartupError(f'{where} must have "{member}": "{wanted}"; {_REMEDY}')
    encoded = entry.get("k")
    if not isinstance(encoded, str):
        raise StartupError(f'{where} has no "k" with the key as base64url; {_REMEDY}')
    try:
        secret = decode(encoded)
    except (ValueError, binascii.Error):
        raise StartupError(f'{where}: "k" is not base64url without padding; {_REMEDY}') from None
    if fault := weakness(secret):
        raise StartupError(f"{where} {fault}; {_REMEDY}")
    if entry.get("kid") != kid_of(secret):
        raise StartupError(f"{where} has the wrong kid; the kid of this key is {kid_of(secret)}")
    return secret, kid_of(secret)


def _is_der(secret: bytes) -> bool:
    """Return whether these bytes are exactly one DER sequence."""
    tag, length = secret[0], secret[1]
    if tag != _DER_SEQUENCE:
        return False
    if length < _DER_LONG_FORM:
        return len(secret) == 2 + length
    octets = length - _DER_LONG_FORM
    return len(secret) == 2 + octets + int.from_bytes(secret[2 : 2 + octets])


class Keyring:
    """The keys that a running service uses, from a file or from text.

    A changed file is noticed without a restart. If the new content can't be used, the old keys stay in use and `fault`
    says why. If it has none of the old keys, it is used all the same, since that is the answer to a leak; but it may
    also be the wrong file, so `replaced` is set.

    Args:
        file: A key file. Links are resolved at each read, so that a mounted secret can be swapped.
        text: The content of a key file, for environments without files.
        clock: A monotonic clock in seconds, for pacing the checks of the file.

    Raises:
        StartupError: neither or both are given, the file can't be read, or `read` refuses its content.
    """

    def __init__(
        self, *, file: Path | None = None, text: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if (file is None) == (text is None):
            raise StartupError("set either JWT_KEYRING_FILE or JWT_KEYRING, not both: one of the two is needed")
        self._file = file
        self._clock = clock
        self._content = (text or "").encode() if file is None else _content(file)
        self.current = read(self._content)
        self.fault: str | None = None
        """Why the file's present content is not in use, or None."""
        self.replaced = False
        """Whether the file has none of the keys that were in use before; tokens signed with those are refused."""
        self._trusted = self.current
        self._checked_at = clock()
        self._checking = asyncio.Lock()
        self._apart_from: Keyring | None = None

    def keep_apart(self, other: "Keyring") -> None:
        """Refuse every key that the other keyring has, now and after every change of either file.

        Raises:
            StartupError: they have a key in common.
        """
        self._apart_from = other
        other._apart_from = self  # noqa: SLF001  another object of this class
        self._check_apart(self.current)

    async def recheck(self, seen: KeySet) -> bool:
        """Return whether the keys differ from `seen` by now; reads the file at most once in RECHECK_SECONDS."""
        async with self._checking:
            if self.current is seen and self._clock() - self._checked_at >= RECHECK_SECONDS:
                await self._reload()
        return self.current is not seen

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch the file for changes for the duration of the block."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    def _check_apart(self, keys: KeySet) -> None:
        common = set(keys.kids) & set(self._apart_from.current.kids) if self._apart_from is not None else set()
        if common:
            raise StartupError(
                f"the key {min(common)} is in two keyrings that must not share one, because a service with one of them "
                f"could sign for the other; {_REMEDY}"
            )

    async def _watch(self) -> None:
        while self._file is not None:
            await asyncio.sleep(POLL_SECONDS)
            async with self._checking:
                await self._reload()

    async def _reload(self) -> None:
        if self._file is None:
            return
        self._checked_at = self._clock()
        try:
            # compared by content: times and sizes can stay the same, and a swapped link changes neither
            content = await asyncio.to_thread(_content, self._file)
            if content == self._content and self.fault is None:
                return
            keys = self.current if content == self._content else read(content)
            self._check_apart(keys)
        except StartupError as error:
            if self.fault != str(error):
                _log.error("the keyring was not reloaded: %s", error)
            self.fault = str(error)
            return
        self._content, self.fault = content, None
        self.current = keys
        # compared with the last keys that followed from others, so that putting the old file back ends it
        self.replaced = set(keys.kids).isdisjoint(self._trusted.kids)
        if self.replaced:
            _log.warning(
                "the keyring is now %s; none of the previous keys (%s) is left, so tokens signed with them are refused."
                " If that is a mistake, restore the file; if not, a restart ends this warning in readiness",
                ", ".join(keys.kids),
                ", ".join(self._trusted.kids),
            )
        else:
            self._trusted = keys
            _log.info("the keyring is now %s", ", ".join(keys.kids))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartupError(f"JWT_KEYRING_FILE {file}: {error.strerror}; {_REMEDY}") from None
