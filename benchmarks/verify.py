"""python -m benchmarks.verify: what it costs to verify a token, against python-jose's own `jwt.decode`.

Prints the cost of a token seen for the first time, of a remembered one, and of `jwt.decode` with a key object built
once, on the same tokens; then what a million distinct valid tokens, each verified for real, leave in memory.
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
"""More than the memo holds; all objects that they leave are counted one by one, which is slow."""


def main() -> None:
    """Measure and print."""
    keyring = Keyring(text=keyring_text())
    first, remembered, library = compare(keyring)
    print(f"python-jose jwt.decode  {library * 1e6:6.1f} µs  1.000")
    print(f"verify, first time      {first * 1e6:6.1f} µs  {first / library:.3f} of it, aim: at most 1.5")
    print(f"verify, remembered      {remembered * 1e6:6.1f} µs  {remembered / library:.3f} of it, aim: at most 0.05")

    kept, taken = memory(keyring)
    print(
        f"memo: {kept:,} of {TRACED_TOKENS:,} tokens kept, {taken / 2**20:.1f} MiB of objects, "
        f"bound {MEMO_BYTES / 2**20:.0f} MiB"
    )
    million(keyring)


def compare(keyring: Keyring) -> tuple[float, float, float]:
    """Seconds a call in the median round: the first time, remembered, and by python-jose."""
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
    """Verify distinct tokens; return how many the memo kept, and the bytes of all objects that they left behind."""
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
    """Verify a million distinct valid tokens, and print how the process grows meanwhile."""
    judge, process = verifier(keyring), psutil.Process()
    gc.collect()
    start = process.memory_info().rss
    for number in range(1, TOKENS + 1):
        judge.verify(new_token(keyring), time.time())
        if number % (TOKENS // 10) == 0:
            grown = (process.memory_info().rss - start) / 2**20
            print(f"{number:9,} distinct tokens: {judge.remembered:,} remembered, process {grown:+.1f} MiB")


def verifier(keyring: Keyring) -> Verifier:
    """A verifier that remembers nothing yet."""
    return Verifier(keyring, issuer="auth", audience="posts", leeway=10)


def timed(call: Callable[[str], object], tokens: Sequence[str]) -> float:
    """Seconds for each token; a fresh copy of each, as a socket would give it, so that no hash is remembered."""
    copies = [(token + ".")[:-1] for token in tokens]
    started = time.perf_counter()
    for token in copies:
        call(token)
    return (time.perf_counter() - started) / len(copies)


def new_token(keyring: Keyring) -> str:
    """A token as the auth service signs them, different each time."""
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
    """A keyring for the measurement alone."""
    entry = {"kty": "oct", "alg": "HS256", "use": "sig", "kid": kid_of(SECRET), "k": encode(SECRET)}
    return json.dumps({"keys": [entry]})


if __name__ == "__main__":
    main()
