"""Keys in memory: what a verifier and a signer need of a key, without its bytes."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Neither its representation nor an error about it shows the secret.

    Args:
        kid: Its id, computed from the key.
        alg: The one algorithm that it is for.
        sign: Returns the signature over some bytes.
        verify: Returns whether a signature over some bytes is right; constant-time in the signature.
    """

    kid: str
    alg: str
    sign: Callable[[bytes], bytes] = field(repr=False, compare=False)
    verify: Callable[[bytes, bytes], bool] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys of one version of a keyring. The first one signs."""

    by_id: dict[str, Key]

    @property
    def signing(self) -> Key:
        """The key that signs new tokens."""
        return next(iter(self.by_id.values()))

    @property
    def kids(self) -> list[str]:
        """The ids, starting with the signing key's."""
        return list(self.by_id)

    def get(self, kid: str) -> Key | None:
        """Return the key with this id, or None."""
        return self.by_id.get(kid)
