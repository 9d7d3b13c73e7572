"""What the three images contain, and how little they may do."""

import json
import re

import pytest

from tests.compose.project import CONSOLE, DATABASES, PUBLISHED, ROOT, Project

COMPILER = re.compile(r"/(?:[a-z0-9_]+-linux-[a-z]+-)?(?:gcc|g\+\+|cc|c\+\+|cpp|clang|tcc|cc1|cc1plus|make)(?:-\d+)?")


def files(project: Project, service: str) -> list[str]:
    """Every file in the image of a service or the console."""
    image = project.container(service)["Image"]
    listed = project.docker(
        "run", "--rm", "--network=none", "--user=0", "--entrypoint=find", image, "/", "-xdev", "!", "-type", "d"
    )
    return listed.splitlines()


@pytest.mark.parametrize(
    ("service", "package", "parts"),
    [
        ("auth", "auth_service", {"auth_service", "deploy", "shared"}),
        ("posts", "posts_service", {"posts_service", "shared"}),
        (CONSOLE, "console", {"console", "shared"}),
    ],
)
def test_one_service_in_an_image(project: Project, service: str, package: str, parts: set[str]) -> None:
    """An image contains its service and the shared code, but no other service, no compiler and no pip."""
    paths = files(project, service)
    others = {"auth_service", "posts_service"} - {package}
    assert {path.split("/")[2] for path in paths if path.startswith("/app/")} == parts
    assert f"/app/{package}/__main__.py" in paths
    assert [path for path in paths if any(other in path for other in others)] == []
    assert [path for path in paths if COMPILER.fullmatch(path[path.rfind("/") :])] == []
    assert [path for path in paths if re.match(r"/venv/.*/(pip|setuptools|ensurepip)(-|$|\d)", path)] == []
    assert [path for path in paths if re.match(r"/app/.*(/tests|Dockerfile|\.txt$|/\.)", path)] == []


def test_the_console_can_read_no_key_and_no_database(project: Project) -> None:
    """The console's image has no code, ours or a library's, that reads keys, verifies signatures or uses a database."""
    paths = files(project, CONSOLE)
    prefix = "/app/shared/"
    shared = {path.removeprefix(prefix) for path in paths if path.startswith(prefix) and path.endswith(".py")}
    assert shared == {
        "__init__.py",
        "base64url.py",
        "errors.py",
        "http/__init__.py",
        "http/conditional_requests.py",
        "http/connections.py",
        "http/errors.py",
        "http/idempotency.py",
        "http/problems.py",
        "http/protocol_errors.py",
        "http/routes.py",
        "http/server.py",
        "http/static_files.py",
        "logs.py",
        "settings.py",
        "strict_json.py",
        "text_validation.py",
        "tokens/__init__.py",
        "tokens/checks.py",
        "tokens/claims.py",
        "tokens/errors.py",
        "tokens/keys.py",
    }
    packages = {
        path.split("/site-packages/")[1].split("/")[0]
        for path in paths
        if "/venv/" in path and "/site-packages/" in path
    }
    assert {"aiohttp", "pydantic"} <= packages
    assert {"jose", "asyncpg", "cryptography", "passlib", "prometheus_client"} & packages == set()


@pytest.mark.parametrize("service", PUBLISHED)
def test_compiled_beforehand(project: Project, service: str) -> None:
    """Every module of a service is precompiled, because a container couldn't store the bytecode."""
    paths = set(files(project, service))
    modules = [path for path in paths if re.match(r"/(app|venv)/.*\.py$", path) and "/site-packages/" not in path]
    assert modules
    assert [
        path for path in modules if re.sub(r"/([^/]+)\.py$", r"/__pycache__/\1.cpython-313.pyc", path) not in paths
    ] == []


@pytest.mark.parametrize("service", PUBLISHED)
def test_neither_root_nor_rights(project: Project, service: str) -> None:
    """A service runs as an unnamed user without capabilities, and can't gain any."""
    assert project.container(service)["Config"]["User"] == "10001:10001"
    status = dict(line.split(":\t") for line in project.execute(service, "cat", "/proc/1/status").splitlines())
    assert set(status["Uid"].split()) == {"10001"}
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", PUBLISHED)
@pytest.mark.parametrize("user", ["0", "10001"])
def test_nothing_can_be_written(project: Project, service: str, user: str) -> None:
    """Not even root writes to the root file system or to a secret."""
    folders = ("/", "/app", "/venv", "/tmp", "/var/tmp", "/run/keyring", "/run/account-keyring", "/run/database")  # noqa: S108  must not be writable
    written = project.execute(
        service,
        *("sh", "-c", 'for folder; do if touch "$folder/x" 2>/dev/null; then echo "$folder"; fi; done', "-", *folders),
        user=user,
    )
    assert written.split() == []
    # proves that the same command succeeds where writing is allowed
    assert project.execute(service, "sh", "-c", "touch /dev/shm/x && rm /dev/shm/x && echo yes", user=user) == "yes\n"


@pytest.mark.parametrize("service", [*PUBLISHED, *DATABASES, "auth-migrate", "secrets"])
def test_no_container_can_take_the_machine(project: Project, service: str) -> None:
    """Every container has a limit on its memory and on its processes and threads."""
    limits = project.container(service)["HostConfig"]
    assert 128 * 1024**2 <= limits["Memory"] <= 1024**3
    assert 50 <= limits["PidsLimit"] <= 200


def test_base_images_can_be_pinned(project: Project) -> None:
    """The images that everything is built on can be named with a digest."""
    digest = "@sha256:" + "0" * 64
    names = {"PYTHON_IMAGE": f"python:3.13-slim{digest}", "POSTGRES_IMAGE": f"postgres:17{digest}"}
    composed = json.loads(project.compose("config", "--format", "json", variables=names))["services"]
    assert {composed[database]["image"] for database in DATABASES} == {names["POSTGRES_IMAGE"]}
    built = [service["build"] for service in composed.values() if "build" in service]
    assert {build["args"]["PYTHON_IMAGE"] for build in built} == {names["PYTHON_IMAGE"]}
    for file in {build["dockerfile"] for build in built}:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
