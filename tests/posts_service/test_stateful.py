"""The posts service against a model in memory: any sequence of requests gets the same results from both."""

import asyncio
import http.client
import json
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dev import service_process as processes
from tests.api_client import SignedIn
from tests.postgres import Server
from tests.posts_service.board import MODERATOR, UNLIMITED, person

pytestmark = pytest.mark.slow

EXAMPLES = 40
STEPS = 40

VOCABULARY = ("alpha", "beta", "gamma")
_examples = count()
TAGS = ("red", " Red", "RED ", "blue", "Blue", "grün", "GRU\u0308N", "a b")

# a title is one line, a body is any text; the noise in them can't form a word of the vocabulary
_LETTERS = "abeghlmptABEGHLMPT"
_noise = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters=_LETTERS), max_size=12)
_prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0" + _LETTERS), max_size=40)
_words = st.lists(st.sampled_from([*VOCABULARY, "Alpha", "BETA"]), max_size=3).map(" ".join)
titles = st.builds("t {} {}".format, _words, _noise)
bodies = st.builds("b {} {}".format, _words, _prose)
tag_lists = st.lists(st.sampled_from(TAGS), max_size=4)
queries: Mapping[str, Callable[[set[str]], bool]] = {
    "alpha": lambda words: "alpha" in words,
    "Beta gamma": lambda words: {"beta", "gamma"} <= words,
    "alpha or gamma": lambda words: bool({"alpha", "gamma"} & words),
    "beta -alpha": lambda words: "beta" in words and "alpha" not in words,
    '-"gamma"': lambda words: "gamma" not in words,
}


class Machine(RuleBasedStateMachine):
    """Two authors and a moderator who create, edit, delete and list posts."""

    connection: http.client.HTTPConnection
    people: Sequence[SignedIn]

    def __init__(self) -> None:
        super().__init__()
        self.example = next(_examples)
        self.posts: dict[int, dict[str, Any]] = {}
        self.gone: list[int] = []
        self.kept: dict[tuple[int, str], tuple[object, tuple[int, Any, Any, bytes]]] = {}

    def send(
        self, method: str, who: int, path: str, body: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send one request; write underscores for the hyphens in header names."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent["Authorization"] = f"Bearer {self.people[who].token}"
        self.connection.request(method, path, data, sent)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def post_id(self, number: int) -> int:
        """The id of a post that exists or was deleted; `number` counts back from the newest."""
        known = sorted([*self.posts, *self.gone])
        return known[-1 - number % len(known)]

    def expected(self, who: int, post_id: int, condition: str) -> tuple[int, dict[str, str]]:
        """The expected status of a change (200 if it is allowed), and the headers to send with it."""
        post = self.posts.get(post_id)
        present = post["version"] if post else 1
        header = {
            "none": {},
            "any": {"If_Match": "*"},
            "present": {"If_Match": f'"{present}"'},
            "list": {"If_Match": f'"0", "{present}"'},
            "stale": {"If_Match": f'"{present + 1}", W/"{present}"'},
        }[condition]
        if post is None:
            return 404, header
        if post["author_id"] != self.people[who].id and who != len(self.people) - 1:
            return 403, header
        return (412 if condition == "stale" else 200), header

    @initialize()
    def nothing_is_there(self) -> None:
        """Delete what the previous example left behind."""
        for who in range(len(self.people)):
            assert self.send("DELETE", who, "/posts?author=me")[0] == 200

    @rule(
        who=st.integers(0, 2),
        title=titles,
        body=bodies,
        tags=st.none() | tag_lists,
        key=st.none() | st.sampled_from(["k1", "k2", "k3"]),
    )
    def create(self, who: int, title: str, body: str, tags: list[str] | None, key: str | None) -> None:
        """A post is stored as sent; a known key gets the first response again, or 422 if the post differs."""
        new = {"title": title, "body": body} | ({} if tags is None else {"tags": tags})
        header = {} if key is None else {"Idempotency_Key": f"{key}-{self.example}"}
        status, headers, raw = self.send("POST", who, "/posts", new, **header)
        answer = (status, headers["Location"], headers["ETag"], raw)
        if key is not None and (who, key) in self.kept:
            request, first = self.kept[who, key]
            if request == {"tags": [], **new}:
                assert answer == first
            else:
                assert (status, json.loads(raw)["code"]) == (422, "idempotency_mismatch")
            return
        post = json.loads(raw)
        assert status == 201, post
        author = self.people[who]
        assert post == {
            "id": post["id"],
            "author_id": author.id,
            "author_name": author.name,
            "title": title,
            "body": body,
            "tags": normalised(tags or []),
            "version": 1,
            "created_at": post["created_at"],
            "updated_at": post["created_at"],
        }
        assert answer[1:3] == (f"/posts/{post['id']}", '"1"')
        assert post["id"] > max([0, *self.posts, *self.gone])
        self.posts[post["id"]] = post
        if key is not None:
            self.kept[who, key] = {"tags": [], **new}, answer

    @precondition(lambda self: self.posts or self.gone)
    @rule(
        who=st.integers(0, 2),
        number=st.integers(0, 5),
        change=st.fixed_dictionaries({}, optional={"title": titles, "body": bodies, "tags": st.none() | tag_lists}),
        condition=st.sampled_from(["none", "any", "present", "list", "stale"]),
    )
    def edit(self, who: int, number: int, change: dict[str, Any], condition: str) -> None:
        """An edit by the author or a moderator changes the members that are sent if the condition holds."""
        post_id = self.post_id(number)
        wanted, header = self.expected(who, post_id, condition)
        status, headers, raw = self.send("PATCH", who, f"/posts/{post_id}", change, **header)
        answer = json.loads(raw)
        assert status == wanted, answer
        if status == 412:
            assert headers["ETag"] == f'"{self.posts[post_id]["version"]}"'
        if status != 200:
            return
        before = self.posts[post_id]
        after = before | change
        if "tags" in change:
            after["tags"] = normalised(change["tags"] or [])
        if after != before:
            after |= {"version": before["version"] + 1, "updated_at": answer["updated_at"]}
            assert answer["updated_at"] > before["updated_at"]
        assert answer == after
        assert headers["ETag"] == f'"{after["version"]}"'
        self.posts[post_id] = after

    @precondition(lambda self: self.posts or self.gone)
    @rule(
        who=st.integers(0, 2),
        number=st.integers(0, 5),
        condition=st.sampled_from(["none", "none", "any", "present", "stale"]),
    )
    def delete(self, who: int, number: int, condition: str) -> None:
        """A post is deleted for good, under the same conditions as an edit."""
        post_id = self.post_id(number)
        wanted, header = self.expected(who, post_id, condition)
        status, _, raw = self.send("DELETE", who, f"/posts/{post_id}", **header)
        assert status == (204 if wanted == 200 else wanted), raw
        if status == 204:
            del self.posts[post_id]
            self.gone.append(post_id)

    @rule(who=st.integers(0, 2))
    def delete_own(self, who: int) -> None:
        """All posts of the caller are deleted, and no others."""
        own = [post_id for post_id, post in self.posts.items() if post["author_id"] == self.people[who].id]
        status, _, raw = self.send("DELETE", who, "/posts?author=me")
        assert (status, json.loads(raw)) == (200, {"deleted": len(own)})
        for post_id in own:
            del self.posts[post_id]
            self.gone.append(post_id)

    @precondition(lambda self: self.posts or self.gone)
    @rule(who=st.integers(0, 2), number=st.integers(0, 5), known=st.integers(-2, 1))
    def show(self, who: int, number: int, known: int) -> None:
        """The current version of a post is returned unless the client already has it."""
        post_id = self.post_id(number)
        post = self.posts.get(post_id)
        tag = f'W/"{(post["version"] if post else 1) + known}"'
        status, headers, raw = self.send("GET", who, f"/posts/{post_id}", If_None_Match=tag)
        if post is None:
            assert (status, json.loads(raw)["code"]) == (404, "not_found")
            return
        assert headers["ETag"] == f'"{post["version"]}"'
        assert (status, raw) == (304, b"") if known == 0 else (status, json.loads(raw)) == (200, post)

    @rule(
        who=st.integers(0, 2),
        author=st.none() | st.just("me") | st.integers(0, 2),
        tags=st.lists(st.sampled_from(TAGS), max_size=2),
        words=st.none() | st.sampled_from(sorted(queries)),
        limit=st.integers(1, 5),
    )
    def walk(self, who: int, author: str | int | None, tags: list[str], words: str | None, limit: int) -> None:
        """The pages of a list show every post that matches its filters, newest first."""
        author_id = None if author is None else self.people[who if author == "me" else int(author)].id
        wanted = [
            self.posts[post_id]
            for post_id in sorted(self.posts, reverse=True)
            if author_id in (None, self.posts[post_id]["author_id"])
            and set(normalised(tags)) <= set(self.posts[post_id]["tags"])
            and (words is None or queries[words](words_of(self.posts[post_id])))
        ]
        query: list[tuple[str, object]] = [("limit", limit), *(("tag", tag) for tag in tags)]
        query += [] if author is None else [("author", "me" if author == "me" else author_id)]
        query += [] if words is None else [("q", words)]
        path: str | None = "/posts?" + urlencode(query)
        pages = []
        while path is not None:
            status, headers, raw = self.send("GET", who, path)
            page = json.loads(raw)
            assert status == 200, page
            pages.append(page["items"])
            assert (page["next"] is None) == (headers["Link"] is None)
            path = headers["Link"].removeprefix("<").removesuffix('>; rel="next"') if page["next"] else None
            assert len(pages) <= len(wanted) // limit + 1, "there are more pages than the posts need"
        assert [post for page in pages for post in page] == wanted
        assert all(len(page) == limit for page in pages[:-1])

    @invariant()
    def all_is_listed(self) -> None:
        """The list without filters equals the model."""
        _, _, raw = self.send("GET", 0, "/posts?limit=100")
        assert json.loads(raw)["items"] == [self.posts[post_id] for post_id in sorted(self.posts, reverse=True)]


def normalised(tags: Sequence[str]) -> list[str]:
    """Tags as the service should store them."""
    kept: list[str] = []
    for tag in tags:
        plain = unicodedata.normalize("NFC", tag).strip().lower()
        if plain not in kept:
            kept.append(plain)
    return kept


def words_of(post: Mapping[str, Any]) -> set[str]:
    """The words of the vocabulary that a post contains."""
    return {word for text in (post["title"], post["body"]) for word in text.lower().split(" ") if word in VOCABULARY}


@pytest.fixture
async def service(database_server: Server, keyring_file: Path) -> AsyncIterator[processes.Service]:
    """The posts service as a process with its own database."""
    url = await database_server.create_database()
    started = processes.start(
        "posts", port=processes.free_port(), database_url=url, keyring=keyring_file, more=UNLIMITED
    )
    try:
        await asyncio.to_thread(processes.wait_until_ready, [started])
        yield started
    finally:
        await asyncio.to_thread(processes.stop, [started])
        await database_server.drop_database(url)


@pytest.fixture
def machine(service: processes.Service, keyring_file: Path) -> Iterator[type[Machine]]:
    """A machine that is connected to the service."""
    here = http.client.HTTPConnection(processes.HOST, service.port, timeout=20)

    class Connected(Machine):
        connection = here
        people = (
            person(keyring_file, "Ada"),
            person(keyring_file, "Bob 🦉"),
            person(keyring_file, "Moderator", MODERATOR),
        )

    yield Connected
    here.close()


def test_the_service_does_what_the_model_does(machine: type[Machine]) -> None:
    """Whatever users create, edit, delete and list, in any order, the service agrees with the model."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
