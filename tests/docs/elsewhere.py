"""Commands that need another set-up than the running pair: everything that they name must exist.

They are run by tests/dev, tests/compose and the tests of the command line. `…` and words in capitals are placeholders.
"""

import re
import shlex
from collections.abc import Sequence

import auth_service.settings
import console.settings
import posts_service.settings
from auth_service.__main__ import _parser
from shared.settings import Settings
from tests.docs.blocks import ROOT, Fence, Untrue

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.* ## .", MAKEFILE, re.MULTILINE)
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES = re.findall(
    r"^  ([a-z-]+):$", COMPOSE.partition("\nservices:\n")[2].partition("\nnetworks:\n")[0], re.MULTILINE
)
_READERS: dict[str, type[Settings]] = {
    "auth": auth_service.settings.Settings,
    "posts": posts_service.settings.Settings,
    "console": console.settings.Settings,
}
SETTINGS = {
    reader: {name.upper(): ... if field.is_required() else field.default for name, field in kind.model_fields.items()}
    for reader, kind in _READERS.items()
}
"""The environment variables that each of the three reads, with their defaults (`...` if required)."""

_VARIABLE = re.compile(r"([A-Z_]+)=\S+")
_SUBCOMMANDS = ("up", "down", "stop", "start", "exec", "logs", "ps")


def check(fence: Fence, files: Sequence[str]) -> None:
    """Check every line of a block.

    Args:
        fence: The block.
        files: The Python files that the document shows.

    Raises:
        Untrue: a line is an unknown command, or names something that doesn't exist.
    """
    for number, line in enumerate(fence.text.splitlines(), fence.line + 1):
        try:
            _command(shlex.split(line, comments=True), files)
        except Untrue as fault:
            raise Untrue(f"line {number}: {fault}: {line}") from None


def check_prose(text: str) -> None:
    """Check every `make …` in the prose.

    Raises:
        Untrue: a target or variable doesn't exist.
    """
    for command in re.findall(r"`(make(?: [^`…]+)?)(?: …)?`", text):
        _command(command.split(), ())


def _command(words: Sequence[str], files: Sequence[str]) -> None:
    while words and _VARIABLE.fullmatch(words[0]):
        _known_variable(words[0])
        words = words[1:]
    match words:
        case ["make", *rest]:
            for word in rest:
                if _VARIABLE.fullmatch(word):
                    _known_variable(word)
                elif word not in TARGETS:
                    raise Untrue(f"the Makefile has no target {word} with a help text")
        case ["docker", "compose", subcommand, *rest] if subcommand in _SUBCOMMANDS:
            _compose(subcommand, [word for word in rest if not word.startswith("-")], files)
        case ["python" | ".venv/bin/python", "-m", "auth_service", *rest]:
            _parsed(rest)
        case [".venv/bin/python", file] if file in files:
            pass
        case [".venv/bin/python", "-m", "pytest", path, *_] if (ROOT / path).exists():
            pass
        case [".ci/run"]:
            assert (ROOT / ".ci" / "run").exists()
        case _:
            raise Untrue("unknown command")


def _compose(subcommand: str, words: Sequence[str], files: Sequence[str]) -> None:
    services = words[:1] if subcommand == "exec" else words
    for service in services:
        if service not in SERVICES:
            raise Untrue(f"no service {service} in docker-compose.yml")
    if subcommand == "exec":
        _command(words[1:], files)


def _parsed(arguments: Sequence[str]) -> None:
    try:
        _parser().parse_args(arguments)
    except SystemExit:
        raise Untrue("the command line is invalid") from None


def _known_variable(assignment: str) -> None:
    name = assignment.partition("=")[0]
    if not any(name in settings for settings in SETTINGS.values()) and not re.search(rf"\b{name}\b", MAKEFILE):
        raise Untrue(f"nothing reads {name}")
