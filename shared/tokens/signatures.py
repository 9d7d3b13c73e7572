"""The only importer of python-jose, which computes the HMACs."""

from jose import jwk
from jose.exceptions import JOSEError

from shared.tokens.keys import Key

ALGORITHM = "HS256"


def key(kid: str, secret: bytes) -> Key:
    """Build a key once, so that verifying a token constructs nothing.

    Raises:
        ValueError: python-jose finds an asymmetric key or a certificate in the bytes.
    """
    try:
        hmac = jwk.construct(secret, ALGORITHM)
    except JOSEError as error:
        raise ValueError(str(error)) from None
    return Key(kid, ALGORITHM, sign=hmac.sign, verify=hmac.verify)
