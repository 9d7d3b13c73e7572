"""Base64url without padding (RFC 7515 section 2), strict: each value has exactly one accepted text."""

import base64


def encode(data: bytes) -> str:
    """Encode bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Decode what `encode` produces, and nothing more lenient.

    Raises:
        ValueError: padding, characters outside the alphabet, or unused bits that are not zero.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
