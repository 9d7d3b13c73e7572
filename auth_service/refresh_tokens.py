"""Refresh tokens: opaque, 64 characters, of which the database keeps hashes only.

A token is a family, which stays for as long as the session lives and finds its row, and a secret, which changes with
every rotation. The next secret is an HMAC of the present one and a nonce, so that within the grace whoever has the
predecessor can be given the same successor, though no secret is ever stored.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from shared.keyring import decode, encode

FAMILY_BYTES = 16
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token, taken apart."""

    family: bytes
    secret: bytes

    @classmethod
    def new(cls) -> "RefreshToken":
        """A token of a new family."""
        return cls(secrets.token_bytes(FAMILY_BYTES), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """Take apart what a client sent; None if no token looks like that."""
        try:
            data = decode(text)
        except ValueError:
            return None
        if len(data) != FAMILY_BYTES + SECRET_BYTES:
            return None
        return cls(data[:FAMILY_BYTES], data[FAMILY_BYTES:])

    def successor(self, nonce: bytes) -> "RefreshToken":
        """The token that follows this one, by a nonce; whoever lacks either can't make it."""
        return RefreshToken(self.family, hmac.digest(self.secret, nonce, hashlib.sha256))

    @property
    def family_hash(self) -> bytes:
        """What the row is found by."""
        return hashlib.sha256(b"family" + self.family).digest()

    @property
    def secret_hash(self) -> bytes:
        """What tells whether the secret is the right one. A hash without salt is enough for 256 random bits."""
        return hashlib.sha256(b"secret" + self.secret).digest()

    def __str__(self) -> str:
        return encode(self.family + self.secret)

    def __repr__(self) -> str:
        return "RefreshToken(…)"
