"""The console's server: only its own files, the same headers on every response, and its settings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from console.app import PAGE
from console.settings import Settings
from dev import service_process as processes
from shared.errors import StartupError
from shared.tokens.checks import CHECKS
from tests.console import stage
from tests.raw_http import exchange

AUTH, POSTS = "http://127.0.0.1:9001", "http://auth.example.com:9002/v1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' http://127.0.0.1:9001 http://auth.example.com:9002; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def test_every_response_has_the_headers() -> None:
    """Every response, errors included, has the security headers, and none has a Server header."""
    async with stage.console(AUTH, f"{POSTS}/", processes.free_port()) as made, ClientSession() as http:
        files = [file.name for file in PAGE.iterdir() if file.name != "index.html"]
        assert {"main.js", "style.css", "icon.svg"} < set(files)
        paths = {
            "/": 200,
            "/config.json": 200,
            "/checks.json": 200,
            "/health/live": 200,
            "/nothing": 404,
            **{f"/{name}": 200 for name in files},
        }
        for path, status in paths.items():
            async with http.get(made.console + path) as answer:
                assert answer.status == status, path
                assert answer.headers["Content-Security-Policy"] == POLICY
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-cache"
                assert "Server" not in answer.headers
        async with http.post(made.console) as refused:
            assert (refused.status, refused.headers["Content-Security-Policy"]) == (405, POLICY)
        async with http.get(f"{made.console}/main.js") as script:
            assert script.content_type == "text/javascript"
            tag = script.headers["ETag"]
        async with http.get(f"{made.console}/main.js", headers={"If-None-Match": tag}) as known:
            assert known.status == 304


async def test_config_json_has_the_base_urls(tmp_path: Path) -> None:
    """config.json has both base URLs without a trailing slash, and the gallery or null."""
    gallery = [{"name": "Wrong audience", "about": "For another service.", "token": "eyJ.eyJ.sig"}]
    file = tmp_path / "gallery.json"
    file.write_text(json.dumps(gallery))
    for given, shown in ((file, gallery), (None, None)):
        async with (
            stage.console(AUTH, f"{POSTS}/", processes.free_port(), given) as made,
            ClientSession() as http,
            http.get(f"{made.console}/config.json") as answer,
        ):
            assert await answer.json() == {"auth": AUTH, "posts": POSTS, "gallery": shown}


async def test_checks_json_lists_the_checks() -> None:
    """checks.json lists the thirteen checks in order, each with its number, name and sentence."""
    async with (
        stage.console(AUTH, POSTS, processes.free_port()) as made,
        ClientSession() as http,
        http.get(f"{made.console}/checks.json") as answer,
    ):
        checks = await answer.json()
    assert [each["number"] for each in checks] == list(range(1, 14))
    assert [each["name"] for each in checks] == [check.name for check in CHECKS]
    assert checks[3] == {
        "number": 4,
        "name": "Header members",
        "sentence": "The header has none of crit, jku, jwk, x5u, x5c, b64.",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/%2e%2e/app.py",
        "/..%2fapp.py",
        "/page/",
        "/index.html/../../app.py",
        "//etc/passwd",
        "/.",
        "/%00",
    ],
)
async def test_no_other_file_is_served(path: str) -> None:
    """No path leads out of the page's directory or lists its files."""
    async with stage.console(AUTH, POSTS, processes.free_port()) as made:
        status, _, body = await exchange(
            made.console, f"GET {path} HTTP/1.1\r\nHost: console\r\nConnection: close\r\n\r\n".encode()
        )
        assert status.split()[1] in (b"400", b"404") or (path == "/." and body == (PAGE / "index.html").read_bytes())


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("AUTH_URL", None, "AUTH_URL is not set"),
        ("AUTH_URL", "127.0.0.1:8001", "AUTH_URL: it must be a base URL"),
        ("POSTS_URL", "http://a; script-src *", "POSTS_URL: it must be a base URL"),
        ("POSTS_URL", "http://user@a", "POSTS_URL: it must be a base URL"),
        ("POSTS_URL", "http://a?b", "POSTS_URL: it must be a base URL"),
        ("POSTS_URL", "http://a:99999", "POSTS_URL: it must be a base URL"),
        ("PORT", "0", "PORT: "),
    ],
)
def test_an_invalid_setting_is_named(variable: str, value: str | None, line: str) -> None:
    """The error for an invalid setting starts with its name."""
    given = {"AUTH_URL": AUTH, "POSTS_URL": POSTS, variable: value}
    with pytest.raises(StartupError, match=line):
        Settings.from_environ({name: text for name, text in given.items() if text is not None})


@pytest.mark.parametrize(
    "text", [None, "", "{}", '[{"name": "a"}]', '[{"name": "a", "about": "b", "token": 1}]', "\udcff"]
)
def test_an_invalid_gallery_is_refused(tmp_path: Path, text: str | None) -> None:
    """A missing or invalid gallery file stops the start with a one-line error that names the file."""
    file = tmp_path / "gallery.json"
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))
    settings = Settings.from_environ({"AUTH_URL": AUTH, "POSTS_URL": POSTS, "GALLERY_FILE": str(file)})
    with pytest.raises(StartupError, match=r"GALLERY_FILE .*gallery\.json: .+") as refused:
        settings.gallery()
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_the_command_serves_until_sigterm() -> None:
    """`python -m console serve` serves until SIGTERM and exits with 0; if its port is taken, it exits with one line."""
    port = processes.free_port()
    command = [sys.executable, "-m", "console", "serve"]
    environment = {
        "PATH": os.environ["PATH"],
        "AUTH_URL": AUTH,
        "POSTS_URL": POSTS,
        "PORT": str(port),
        "LOG_FORMAT": "text",
    }
    options = {"cwd": processes.ROOT, "env": environment, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as serving:  # type: ignore[call-overload]
        assert f"listening on http://127.0.0.1:{port}" in serving.stderr.readline()
        refused = subprocess.run(command, **options, check=False)  # type: ignore[call-overload]
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"console: cannot listen on 127.0.0.1:{port}")
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0
        assert serving.stderr.read().endswith(" stopping\n")
