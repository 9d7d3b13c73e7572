"""The verifier: runs the table of checks over a token, and remembers the tokens that passed."""

from collections import OrderedDict
from sys import getsizeof

from shared.tokens.checks import CHECKS, Examination, Expected
from shared.tokens.claims import Claims
from shared.tokens.keyring import Keyring
from shared.tokens.keys import KeySet

MEMO_BYTES = 16 * 1024 * 1024
"""Memory for remembered tokens; about 7,500 of them."""

# two UUIDs with their numbers, two or three numbers, a tuple, and the dictionary's own entry
_ENTRY_BYTES = 800

_TIMES = CHECKS[-1]


class Memo:
    """Remembers the claims of verified tokens: the result of a pure function, not a session store.

    Bounded in bytes, least recently used first out. Everything is forgotten when the keys change.
    """

    def __init__(self, limit: int = MEMO_BYTES) -> None:
        self._limit = limit
        self._keys: KeySet | None = None
        self._entries: OrderedDict[str, tuple[Claims, int]] = OrderedDict()
        self.size = 0
        """Bytes used by the entries, including their share of the dictionary."""

    def get(self, token: str, keys: KeySet) -> Claims | None:
        """Return the claims of exactly this token, if exactly these keys verified it."""
        if keys is not self._keys:
            self._entries.clear()
            self.size, self._keys = 0, keys
        entry = self._entries.get(token)
        if entry is None:
            return None
        self._entries.move_to_end(token)
        return entry[0]

    def put(self, token: str, claims: Claims) -> None:
        """Remember a token that was verified with the keys of the last `get`."""
        size = _size(token, claims)
        self._entries[token] = claims, size
        self.size += size
        while self.size > self._limit:
            self.size -= self._entries.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._entries)


class Verifier:
    """Decides whether a token is accepted.

    Args:
        keyring: The keys; tokens signed with earlier versions of it are refused, remembered ones included.
        issuer: The only `iss` accepted.
        audience: This service's own name, which must be in `aud`.
        leeway: Seconds by which two machines' clocks may differ.
        accepts: The kind of token, as the answer to a log-in names it.
        unknown_key_hint: What a client should do about a token that was signed with an unknown key.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        issuer: str,
        audience: str,
        leeway: float,
        accepts: str = "access_token",
        unknown_key_hint: str = "Compare the key ids of both services: they must have the same keyring.",
    ) -> None:
        self.keyring = keyring
        self.audience = audience
        self.accepts = accepts
        self._expected = Expected(issuer, audience, leeway, unknown_key_hint)
        self._memo = Memo()

    @property
    def remembered(self) -> int:
        """The number of tokens remembered right now."""
        return len(self._memo)

    def verify(self, token: str, now: float) -> Claims:
        """Return the token's claims if all thirteen checks pass at `now` (seconds since the epoch).

        Raises:
            TokenRefused: one of its subclasses, from the first check that failed.
        """
        keys = self.keyring.current
        examination = Examination(token, keys, self._expected, now)
        remembered = self._memo.get(token, keys)
        if remembered is not None:
            examination.claims = remembered
            _TIMES(examination)
            return remembered
        for check in CHECKS:
            check(examination)
        self._memo.put(token, examination.claims)
        return examination.claims


def _size(token: str, claims: Claims) -> int:
    """Return the memory that one entry uses, in bytes; never an underestimate."""
    texts = (token, claims.iss, claims.name, claims.jti, *claims.aud, *claims.scope)
    parts = (claims, claims.aud, claims.scope, *texts)
    return _ENTRY_BYTES + sum(map(getsizeof, parts))
