"""What shared/tokens/signatures.py would be on joserfc instead of python-jose; docs/adr/0013 says when to switch."""

import warnings

from joserfc.errors import SecurityWarning
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from shared.tokens.keys import Key

ALGORITHM = "HS256"


def key(kid: str, secret: bytes) -> Key:
    """Build a key once, so that verifying a token constructs nothing.

    Raises:
        ValueError: joserfc finds an asymmetric key or a certificate in the bytes.
    """
    try:
        with warnings.catch_warnings():
            # of what looks like such a key and can't be parsed, joserfc only warns
            warnings.simplefilter("error", SecurityWarning)
            imported = OctKey.import_key(secret)
    except SecurityWarning as warning:
        raise ValueError(str(warning)) from None
    hmac = JWSRegistry.algorithms[ALGORITHM]
    return Key(
        kid,
        ALGORITHM,
        sign=lambda message: hmac.sign(message, imported),
        verify=lambda message, signature: hmac.verify(message, signature, imported),
    )
