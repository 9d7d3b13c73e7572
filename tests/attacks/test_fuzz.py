"""Random and mutated tokens against a running posts service.

FUZZ_TOKENS sets how many are sent (10,000 by default); `--hypothesis-seed` repeats a run.
"""

import http.client
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dev import service_process as processes
from tests.attacks.forge import CLAIMS, HEADER, KEYRING, b64, token
from tests.postgres import Server

pytestmark = pytest.mark.slow

FUZZ_TOKENS = int(os.environ.get("FUZZ_TOKENS", "10000"))
PER_EXAMPLE = 25
PROGRESS = 50_000

# characters that are allowed in a header, bytes above 0x7f included
CHARACTERS = "".join(chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x100)))
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Target:
    """A connection to a posts service, and some tokens that it accepts."""

    def __init__(self, port: int) -> None:
        now = int(time.time())
        lasting = {**CLAIMS, "iat": now, "exp": now + 86_400}
        self.good = [
            token(claims=lasting),
            token(claims={**lasting, "name": "Zoë \U0001f989", "scope": "posts:read"}),
            token({**HEADER, "extra": "x"}, {**lasting, "aud": ["posts"], "nbf": now}),
        ]
        self.sent = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def status(self, authorization: str) -> int:
        """Send this Authorization header and return the status."""
        self._connection.putrequest("GET", "/posts?limit=1")
        self._connection.putheader("Authorization", authorization.encode("latin-1"))
        self._connection.endheaders()
        response = self._connection.getresponse()
        response.read()
        self.sent += 1
        if self.sent % PROGRESS == 0:
            print(f"{self.sent:,} tokens sent", flush=True)
        return response.status


@pytest.fixture(scope="module")
async def target_url(database_server: Server) -> AsyncIterator[str]:
    """The URL of a database for the target."""
    url = await database_server.create_database()
    yield url
    await database_server.drop_database(url)


@pytest.fixture(scope="module")
def target(target_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The service under attack."""
    keyring = tmp_path_factory.mktemp("fuzz") / "keyring.json"
    keyring.write_text(KEYRING)
    with Path(os.devnull).open("wb") as silence:  # nobody reads a million log lines
        service = processes.start(
            "posts", port=processes.free_port(), database_url=target_url, keyring=keyring, log=silence
        )
    try:
        processes.wait_until_ready([service])
        target = Target(service.port)
        yield target
        target.close()
        print(f"\n{target.sent} tokens sent")
    finally:
        processes.stop([service])


Mutation = Callable[[str], str]
position = st.integers(0, 700)


def _replace(at: int, character: str) -> Mutation:
    return lambda text: text[: at % len(text)] + character + text[at % len(text) + 1 :] if text else character


def _insert(at: int, character: str) -> Mutation:
    return lambda text: text[: at % (len(text) + 1)] + character + text[at % (len(text) + 1) :]


def _delete(at: int, count: int) -> Mutation:
    return lambda text: text[: at % (len(text) + 1)] + text[at % (len(text) + 1) + count :]


def _segment(number: int, content: bytes) -> Mutation:
    def mutate(text: str) -> str:
        segments = text.split(".")
        segments[number % len(segments)] = b64(content)
        return ".".join(segments)

    return mutate


def _swap(first: int, second: int) -> Mutation:
    def mutate(text: str) -> str:
        segments = text.split(".")
        first_at, second_at = first % len(segments), second % len(segments)
        segments[first_at], segments[second_at] = segments[second_at], segments[first_at]
        return ".".join(segments)

    return mutate


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
mutations: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(_replace, position, st.sampled_from(BASE64URL)),
    st.builds(_replace, position, st.sampled_from(CHARACTERS)),
    st.builds(_insert, position, st.sampled_from(CHARACTERS)),
    st.builds(_delete, position, st.integers(1, 40)),
    st.builds(_segment, st.integers(0, 2), st.binary(max_size=60)),
    st.builds(_swap, st.integers(0, 2), st.integers(0, 2)),
)


@st.composite
def tokens(draw: st.DrawFn) -> tuple[int, list[Mutation], str]:
    """The index of a good token, the changes to make to it, and random text that replaces the token if there is any."""
    return (
        draw(st.integers(0, 2)),
        draw(st.lists(mutations, max_size=3)),
        draw(st.text(CHARACTERS, max_size=60)) if draw(st.integers(0, 9)) == 0 else "",
    )


@settings(
    max_examples=max(1, FUZZ_TOKENS // PER_EXAMPLE),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(batch=st.lists(tokens(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
def test_only_tokens_exactly_as_signed_are_accepted(
    target: Target, batch: list[tuple[int, list[Mutation], str]]
) -> None:
    """No token is answered with a 5xx, and only one that is byte for byte as it was signed gets 200."""
    for choice, changes, nonsense in batch:
        sent = nonsense or target.good[choice]
        for change in changes:
            sent = change(sent)
        status = target.status(f"Bearer {sent}")
        if sent.strip(" ") in target.good:
            assert status == 200, sent
        else:
            assert status in (400, 401), (status, sent)


def test_the_run_was_long_enough(target: Target) -> None:
    """At least FUZZ_TOKENS tokens have been sent."""
    assert target.sent >= FUZZ_TOKENS
