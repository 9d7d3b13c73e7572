"""The commands in the documents work and print what is shown."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import pytest

from auth_service import keys
from shared.base64url import decode
from tests.api_client import Pair
from tests.dev.runner import serving
from tests.docs import blocks, elsewhere
from tests.docs.blocks import COMMANDS, ELSEWHERE, FILES_RUN, OUTPUTS, ROOT, Fence, Step, Untrue, fences, name, steps
from tests.docs.shapes import Comparison
from tests.docs.shell import ADDRESSES, Machine
from tests.postgres import Server

INSTALLS = "virtual environment: "
"""The beginning of the lines that tests/dev/test_environment.py compares."""


def text(document: Path) -> str:
    """Read a document."""
    return document.read_text(encoding="utf-8")


DOCUMENTS = blocks.documents()
RUN = [document for document in DOCUMENTS if f"\n```{COMMANDS}\n" in text(document)]
every = pytest.mark.parametrize("document", DOCUMENTS, ids=name)


@dataclass(frozen=True)
class Transcript:
    """What the commands of a document really printed, and the ids of the keys that signed."""

    document: Path
    printed: Sequence[str]
    kids: Sequence[str]

    def compare(self, document: str) -> None:
        """Compare the outputs in this text with the real ones.

        Raises:
            Untrue: an output differs.
        """
        comparison = Comparison(self.kids)
        ran = [step for step in steps(fences(document)) if step.commands.kind == COMMANDS]
        for step, printed in zip(ran, self.printed, strict=True):
            if step.output is not None:
                comparison.compare(step.output, printed)


@pytest.fixture(scope="module", params=RUN, ids=name)
async def transcript(
    request: pytest.FixtureRequest, database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Transcript]:
    """Each document with commands, run from beginning to end on its own pair of services."""
    databases = {service: await database_server.create_database() for service in ADDRESSES}
    with Machine(tmp_path_factory.mktemp("document"), databases).running() as machine:
        printed = [machine.run(fence) for fence in fences(text(request.param)) if fence.kind == COMMANDS]
    yield Transcript(request.param, printed, machine.kids)
    for database in databases.values():
        await database_server.drop_database(database)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Sequence[str]]:
    """What `make run` prints the first time until it says how to use it, and the ids of the keys that it made.

    As in the README, the ports are the default ones and paths are relative to the project.
    """
    data = tmp_path_factory.mktemp("project") / ".data"
    with serving(data, keep=False) as run:
        printed = "\n".join(takewhile(lambda line: not line.startswith("up after"), run.said)).rstrip() + "\n"
        kids = [keys.read(data / file).signing.kid for file in ("keyring.json", "account-keyring.json")]
    for service, address in {**ADDRESSES, "console": "http://127.0.0.1:8000"}.items():
        printed = printed.replace(run.url(service), address)
    return printed.replace(str(data), ".data"), kids


def first_run_shown(document: str) -> list[Step]:
    """The steps of the document that show the output of `make run`."""
    return [step for step in steps(fences(document)) if step.commands.kind == ELSEWHERE and step.output]


def compare_first_run(document: str, first_run: tuple[str, Sequence[str]]) -> None:
    """Compare what the document shows of `make run` with what it printed; sizes and durations may be others.

    Raises:
        Untrue: anything else differs.
    """
    printed, kids = first_run
    for step in first_run_shown(document):
        assert step.output is not None
        if step.commands.text != "make run\n":
            raise Untrue(f"line {step.output.line}: an output that no test compares")
        started = "".join(line for line in step.output.text.splitlines(keepends=True) if not line.startswith(INSTALLS))
        Comparison(kids, measured=True).compare(replace(step.output, text=started), printed)


def check_fences(document: Path, found: Sequence[Fence]) -> None:
    """Check that each fence is of a kind that some test checks.

    Raises:
        Untrue: a fence is not.
    """
    known = (COMMANDS, ELSEWHERE, *OUTPUTS, blocks.TREE, blocks.CLAIMS)
    for fence in found:
        is_run = fence.file is not None and document.name in FILES_RUN
        if fence.kind not in known and not is_run:
            raise Untrue(f"line {fence.line}: no test checks a fence of the kind {fence.kind!r}")
    list(steps(found))


@every
def test_each_fence_is_of_a_known_kind(document: Path) -> None:
    """All code in a document is in fences of known kinds."""
    check_fences(document, fences(text(document)))


@pytest.mark.slow
def test_the_commands_print_what_is_shown(transcript: Transcript) -> None:
    """Every command in the document succeeds and prints what is shown below it."""
    transcript.compare(text(transcript.document))


@pytest.mark.slow
def test_make_run_prints_what_is_shown(first_run: tuple[str, Sequence[str]]) -> None:
    """The first `make run` prints what the README shows of it."""
    assert first_run_shown(text(ROOT / "README.md"))
    for document in DOCUMENTS:
        compare_first_run(text(document), first_run)


@every
def test_commands_for_elsewhere_name_only_what_exists(document: Path) -> None:
    """All make targets, compose services, subcommands, options and variables in a document exist."""
    found = fences(text(document))
    files = [fence.file for fence in found if fence.file]
    for fence in found:
        # shell.py replaces make, so its targets are checked here
        if fence.kind == ELSEWHERE or (fence.kind == COMMANDS and fence.text.startswith("make ")):
            elsewhere.check(fence, files)
    elsewhere.check_prose(text(document))


@every
def test_the_tree_is_real(document: Path) -> None:
    """Each folder and Python file in a tree exists."""
    for fence in fences(text(document)):
        for line in fence.text.splitlines() if fence.kind == blocks.TREE else ():
            folder, about = line.split(maxsplit=1)
            for path in (folder, *(f"{folder}{part}" for part in re.findall(r"\b[\w-]+(?:/|\.py\b)", about))):
                assert (ROOT / path).exists(), path


async def test_the_claims_are_those_of_a_token(pair: Pair) -> None:
    """A document that lists a token's members lists all of them and no others, with the right lifetime."""
    header, payload = (json.loads(decode(part)) for part in (await pair.sign_up()).token.split(".")[:2])
    lists = [fence for document in DOCUMENTS for fence in fences(text(document)) if fence.kind == blocks.CLAIMS]
    assert lists
    for fence in lists:
        first, second = fence.text.splitlines()
        assert json.loads(first.removeprefix("header")) == {**header, "kid": "<id of the key>"}
        assert re.sub(r"\(.*?\)", "", second).split() == ["claims", *payload]
        assert f"exp (iat + {payload['exp'] - payload['iat']} s)" in second


@pytest.mark.slow
def test_a_change_in_an_output_is_noticed(transcript: Transcript) -> None:
    """The comparison notices any change in an output: a member, code, status or word, or a line more."""
    document = text(transcript.document)
    lines = document.splitlines(keepends=True)
    changes = 0
    for step in steps(fences(document)):
        if step.output is None or step.commands.kind == ELSEWHERE:
            continue
        begin = step.output.line
        shown = lines[begin : begin + step.output.text.count("\n")]
        for changed in changes_of("".join(shown)):
            changes += 1
            with pytest.raises(Untrue):
                transcript.compare("".join([*lines[:begin], changed, *lines[begin + len(shown) :]]))
    assert changes > 20


def changes_of(output: str) -> list[str]:
    """Copies of the output with one change each: a name, a short number or an extra line."""
    changed = [
        output[: found.start()] + replacement + output[found.end() :]
        for pattern, replacement in (
            (r'(?<=")[a-z_]{3,}(?=")', "changed"),
            (r"(?<![\w.:-])[1-9]\d{0,2}(?![\w.:-]| s | min )", "77"),
        )
        for found in re.finditer(pattern, output)
    ]
    return [*changed, f"{output}changed\n", output.replace("\n", "\nchanged\n", 1)]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("```\nls\n```\n", "of the kind ''"),
        ("```bash\nls\n```\n", "of the kind 'bash'"),
        ("```python a.py\n1\n```\n", "of the kind 'python a.py'"),
        ("```text\nshown\n```\n", "of no commands"),
        ("```sh\nls\n```\n\n```text\none\n```\n\n```text\ntwo\n```\n", "of no commands"),
        ("Say\n\n    ls\n", "outside of a fence"),
        ("~~~sh\nls\n~~~\n", "outside of a fence"),
        ("- say\n  ```sh\n  ls\n  ```\n", "outside of a fence"),
        ("<pre>ls</pre>\n", "outside of a fence"),
        ("```sh\nls\n", "not closed"),
    ],
)
def test_code_that_no_test_checks_is_refused(document: str, fault: str) -> None:
    """Code outside of fences, fences of unknown kinds and outputs without commands are refused."""
    with pytest.raises(Untrue, match=fault):
        check_fences(ROOT / "README.md", fences(document))


@pytest.mark.parametrize(
    "line",
    [
        "make rum",
        "make run PROT=1",
        "NOBODYS=1 make run",
        "docker compose up autth",
        "docker compose exec auth rm -rf .",
        "python -m auth_service keys forge keyring.json",
        "python -m auth_service users create grace@example.com --nom Grace",
        ".venv/bin/python other.py",
        "rm -rf .",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    """An unknown command, or one that names something that doesn't exist, is refused."""
    with pytest.raises(Untrue):
        elsewhere.check(Fence(ELSEWHERE, f"{line}\n", 1), ["notes.py"])


@pytest.mark.slow
def test_another_first_run_is_noticed(first_run: tuple[str, Sequence[str]]) -> None:
    """A line of `make run` that the README does not have, or has otherwise, is noticed."""
    document = text(ROOT / "README.md")
    for old, new in (
        ("[2/3] key file", "[2/3] a key"),
        ("auth   http://127.0.0.1:8001", "auth   http://127.0.0.1:8000"),
        ("      made; starting, on a socket and no port\n", ""),
    ):
        assert old in document
        with pytest.raises(Untrue):
            compare_first_run(document.replace(old, new), first_run)


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("1 s ago", "14 min 59 s ago", True),
        ("1 s from now", "1 s ago", False),
        ("iat 1700000000 exp 1700000900", "iat 1800000000 exp 1800000900", True),
        ("iat 1700000000 exp 1700000901", "iat 1800000000 exp 1800000900", False),
        ("key 'AAAAAAAAAAAAAAAA'", "key 'kkkkkkkkkkkkkkkk'", True),
        ("key 'AAAAAAAAAAAAAAA'", "key 'kkkkkkkkkkkkkkkk'", False),
        ("keys AAAAAAAAAAAAAAAA BBBBBBBBBBBBBBBB", "keys kkkkkkkkkkkkkkkk kkkkkkkkkkkkkkkk", False),
        (f"{'a' * 32} {'a' * 32}", f"{'0' * 32} {'1' * 32}", False),
        (f"{'a' * 32} {'b' * 32}", f"{'0' * 32} {'0' * 32}", False),
        ("eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAxfQ", "eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAxfQ", True),
        ("eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAyfQ", "eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAxfQ", False),
        ("eyJzdWIiOiAi…", "eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAxfQ", True),
        ("eyJzdWIiOiAj…", "eyJzdWIiOiAiQWRhIiwgIm5hbWUiOiAxfQ", False),
    ],
)
def test_what_varies_has_its_shape(shown: str, real: str, same: bool) -> None:
    """Ids, keys and times may be others, but have their form, stay together, and are decoded where they are a token."""
    comparison = Comparison(["k" * 16])
    if same:
        comparison.compare(Fence("text", shown, 1), real)
    else:
        with pytest.raises(Untrue):
            comparison.compare(Fence("text", shown, 1), real)
