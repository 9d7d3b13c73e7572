"""joserfc could replace python-jose: it computes, accepts and refuses the same."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.tokens.keys import Key
from tests.attacks.backends import BACKENDS, keyring_on
from tests.attacks.forge import KID, SECRET


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_backend_is_the_one_that_was_asked_for(backend: str) -> None:
    """The keys of a keyring compute with the chosen library, and no other test keeps it."""
    key = keyring_on(backend).current.by_id[KID]
    module = {"python-jose": "jose.backends", "joserfc": "tests.attacks.joserfc_backend"}[backend]
    assert key.sign.__module__.startswith(module)
    assert BACKENDS["python-jose"]("", SECRET).sign.__module__.startswith("jose.backends")


@pytest.mark.slow
@given(secret=st.binary(min_size=32, max_size=128), message=st.binary(max_size=200), noise=st.binary(max_size=64))
def test_both_compute_the_same(secret: bytes, message: bytes, noise: bytes) -> None:
    """Each library signs as the other does and verifies what the other signed, and neither verifies anything else."""
    made = list[Key]()
    for build in BACKENDS.values():
        try:
            made.append(build("kid", secret))
        except ValueError:
            continue
    assert len(made) in (0, len(BACKENDS)), "both refuse a secret, or neither does"
    for one in made:
        signature = one.sign(message)
        for other in made:
            assert other.verify(message, signature)
            assert not other.verify(message + b"x", signature)
            assert not other.verify(message, signature[:-1])
            assert other.verify(message, noise) == (noise == signature)


PUBLIC = generate_private_key(SECP256R1()).public_key()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "secret",
    [
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        PUBLIC.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n",
        SECRET + b"ssh-rsa AAAAB3NzaC1yc2E",
    ],
)
def test_both_refuse_what_is_public(backend: str, secret: bytes) -> None:
    """A public key is no secret, whole or in pieces."""
    with pytest.raises(ValueError, match=r"(?i)key"):
        BACKENDS[backend]("kid", secret)
