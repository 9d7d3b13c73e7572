"""Refresh tokens: opaque, 64 characters; the database keeps only hashes of them.

A token is a family, which finds the session's row and never changes, and a secret, which changes at every rotation.
The next secret is an HMAC of the present one and a nonce. Within the grace period, anyone with the predecessor can
therefore be given the same successor, although no secret is ever stored.

After it, the nonce is kept only under an idempotency key that came with the predecessor: sealed with a hash of both, so
that neither a stolen token nor a key, nor a copy of the database with one of them, makes the successor.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from shared import base64url

FAMILY_BYTES = 16
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token in its two parts."""

    family: bytes
    secret: bytes

    @classmethod
    def new(cls) -> "RefreshToken":
        """Make a token of a new family."""
        return cls(secrets.token_bytes(FAMILY_BYTES), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """Parse what a client sent, or return None if it can't be a refresh token."""
        try:
            data = base64url.decode(text)
        except ValueError:
            return None
        if len(data) != FAMILY_BYTES + SECRET_BYTES:
            return None
        return cls(data[:FAMILY_BYTES], data[FAMILY_BYTES:])

    def successor(self, nonce: bytes) -> "RefreshToken":
        """Return the token that replaces this one; making it takes both this token and the nonce."""
        return RefreshToken(self.family, hmac.digest(self.secret, nonce, hashlib.sha256))

    def key_hash(self, key: str) -> bytes:
        """Return what proves to have both this token and an idempotency key."""
        return hmac.digest(key.encode(), b"proof" + self.secret, hashlib.sha256)

    def sealed(self, nonce: bytes, key: str) -> bytes:
        """Encrypt the nonce of this token's successor under an idempotency key, or decrypt it: both are one XOR."""
        # a pad is used for one nonce only: a token is replaced once, and the pad belongs to the token
        pad = hmac.digest(key.encode(), b"seal" + self.secret, hashlib.sha256)
        return bytes(one ^ other for one, other in zip(nonce, pad, strict=True))

    @property
    def family_hash(self) -> bytes:
        """The hash that finds the session's row."""
        return hashlib.sha256(b"family" + self.family).digest()

    @property
    def secret_hash(self) -> bytes:
        """The hash that the secret is checked against. 256 random bits need no salt."""
        return hashlib.sha256(b"secret" + self.secret).digest()

    def __str__(self) -> str:
        return base64url.encode(self.family + self.secret)

    def __repr__(self) -> str:
        return "RefreshToken(…)"
