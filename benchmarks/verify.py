"""python -m benchmarks.verify: the cost of verifying a token, compared to python-jose's `jwt.decode`.

Prints the time for a token seen for the first time, for a remembered one, and for `jwt.decode` with a prepared key on
the same tokens. Then prints how much memory is in use after verifying a million different valid tokens.
"""

import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from uuid import uuid4

import psutil
from jose import jwk, jws, jwt

from shared.base64url import encode
from shared.tokens.claims import TYPE
from shared.tokens.keyring import Keyring, kid_of
from shared.tokens.verifier import MEMO_BYTES, Verifier

SECRET = bytes(range(32))
ROUNDS = 21
CALLS = 400
TOKENS = 1_000_000
TRACED_TOKENS = 30_000
"""More than the memo holds, but not many more, because tracing allocations is slow."""


def main() -> None:
    """Run all measurements and print the figures."""
    keyring = Keyring(text=keyring_text())
    first, remembered, library = compare(keyring)
    print(f"python-jose jwt.decode  {library * 1e6:6.1f} µs  1.000")
    print(f"verify, first time      {first * 1e6:6.1f} µs  {first / library:.3f}, aim: at most 1.5")
    print(f"verify, remembered      {remembered * 1e6:6.1f} µs  {remembered / library:.3f}, aim: at most 0.05")

    kept, taken = memory(keyring)
    print(
        f"memo: {kept:,} of {TRACED_TOKENS:,} tokens kept, {taken / 2**20:.1f} MiB of objects, "
        f"bound {MEMO_BYTES / 2**20:.0f} MiB"
    )
    million(keyring)


def compare(keyring: Keyring) -> tuple[float, float, float]:
    """The median seconds per call: for new tokens, for remembered ones, and for python-jose."""
    now = time.time()
    key = jwk.construct(SECRET, "HS256")
    tokens = [new_token(keyring) for _ in range(CALLS)]
    warm = verifier(keyring)
    for token in tokens:
        warm.verify(token, now)
    first, remembered, library = [], [], []
    for _ in range(ROUNDS):
        first.append(timed(partial(verifier(keyring).verify, now=now), tokens))
        remembered.append(timed(partial(warm.verify, now=now), tokens))
        library.append(timed(partial(jwt.decode, key=key, algorithms="HS256", audience="posts", issuer="auth"), tokens))
    return statistics.median(first), statistics.median(remembered), statistics.median(library)


def memory(keyring: Keyring, count: int = TRACED_TOKENS) -> tuple[int, int]:
    """Verify different tokens, and return how many are remembered and how many bytes that takes."""
    judge = verifier(keyring)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(count):
        judge.verify(new_token(keyring), time.time())
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return judge.remembered, taken


def million(keyring: Keyring) -> None:
    """Verify a million different valid tokens, and print how the process grows meanwhile."""
    judge, process = verifier(keyring), psutil.Process()
    gc.collect()
    start = process.memory_info().rss
    for number in range(1, TOKENS + 1):
        judge.verify(new_token(keyring), time.time())
        if number % (TOKENS // 10) == 0:
            grown = (process.memory_info().rss - start) / 2**20
            print(f"{number:9,} distinct tokens: {judge.remembered:,} remembered, process {grown:+.1f} MiB")


def verifier(keyring: Keyring) -> Verifier:
    """A new verifier, which remembers no token yet."""
    return Verifier(keyring, issuer="auth", audience="posts", leeway=10)


def timed(call: Callable[[str], object], tokens: Sequence[str]) -> float:
    """Seconds per token. Calls get fresh copies, as from a socket, so that Python has not cached their hashes."""
    copies = [(token + ".")[:-1] for token in tokens]
    started = time.perf_counter()
    for token in copies:
        call(token)
    return (time.perf_counter() - started) / len(copies)


def new_token(keyring: Keyring) -> str:
    """A new token like those of the auth service."""
    key, now = keyring.current.signing, int(time.time())
    claims = {
        "iss": "auth",
        "aud": ["auth", "posts"],
        "sub": str(uuid4()),
        "name": "Ada Lovelace",
        "scope": "posts:read posts:write",
        "sid": str(uuid4()),
        "jti": str(uuid4()),
        "iat": now,
        "exp": now + 900,
    }
    signed: str = jws.sign(json.dumps(claims).encode(), SECRET, headers={"typ": TYPE, "kid": key.kid})
    return signed


def keyring_text() -> str:
    """A keyring for this benchmark."""
    entry = {"kty": "oct", "alg": "HS256", "use": "sig", "kid": kid_of(SECRET), "k": encode(SECRET)}
    return json.dumps({"keys": [entry]})


if __name__ == "__main__":
    main()
