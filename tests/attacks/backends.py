"""The libraries that can compute the signatures of tokens: the services' own, and the one that could replace it."""

from collections.abc import Callable, Mapping

import pytest

from shared.tokens import signatures
from shared.tokens.keyring import Keyring
from shared.tokens.keys import Key
from shared.tokens.verifier import Verifier
from tests.attacks import joserfc_backend
from tests.attacks.forge import KEYRING

BACKENDS: Mapping[str, Callable[[str, bytes], Key]] = {"python-jose": signatures.key, "joserfc": joserfc_backend.key}


def keyring_on(backend: str, text: str = KEYRING) -> Keyring:
    """A keyring whose keys compute with this library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "key", BACKENDS[backend])
        return Keyring(text=text)


def verifier_on(backend: str, leeway: float) -> Verifier:
    """A verifier of the posts service on this library."""
    return Verifier(keyring_on(backend), issuer="auth", audience="posts", leeway=leeway)
