"""The services on a developer's machine: started from nothing, their data kept, nothing left running."""

import json
import os
import signal
import socket
import stat
import time
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import psutil
import pytest

from dev import postgres
from tests.dev.runner import dev, serving, start

pytestmark = pytest.mark.slow


def ask(url: str, **headers: str) -> tuple[int, Message, bytes]:
    """Send a GET, and return status, headers and body."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  our own URL
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
        return response.status, response.headers, response.read()


def accepts(url: str) -> bool:
    """Whether something listens at a base URL."""
    try:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory shared by the tests of this file and created by the first one."""
    path = tmp_path_factory.mktemp("pair") / "my data"
    yield path
    dev("reset", path)


def test_the_printed_lines_can_be_pasted_repeatedly(data: Path) -> None:
    """The four printed lines register, log in, create a post and list the posts, every time they are pasted."""
    with serving(data) as runner:
        assert len(runner.curls) == 4
        user, token, post, posts = runner.paste(*runner.curls)
        again, _, second, both = runner.paste(*runner.curls)
    assert json.loads(user)["email"] == "ada@example.com"
    assert token.count(".") == 2
    assert json.loads(post)["title"] == "Hello"
    assert [each["id"] for each in json.loads(posts)["items"]] == [json.loads(post)["id"]]
    assert json.loads(again)["code"] == "email_taken"
    assert [each["id"] for each in json.loads(both)["items"]] == [json.loads(second)["id"], json.loads(post)["id"]]


def test_the_console_is_ready_and_its_url_comes_first(data: Path) -> None:
    """The first printed URL is that of the console, which has both base URLs and the gallery of this run."""
    with serving(data) as runner:
        assert [line.split()[-1] for line in runner.said if "http://" in line] == [
            runner.url(name) for name in ("console", "auth", "posts")
        ]
        _, _, config = ask(f"{runner.url('console')}/config.json")
        assert ask(runner.url("console"))[0] == 200
    told = json.loads(config)
    assert (told["auth"], told["posts"]) == (runner.url("auth"), runner.url("posts"))
    assert told["gallery"] == json.loads((data / "gallery.json").read_text())
    assert len(told["gallery"]) == 10


def test_the_console_may_call_both_services(data: Path) -> None:
    """Both services allow the console's origin, as 127.0.0.1 and as localhost, and those in CORS_ORIGINS."""
    with serving(data, CORS_ORIGINS="https://app.example.com") as runner:
        console = runner.url("console")
        for origin in (console, console.replace("127.0.0.1", "localhost"), "https://app.example.com"):
            for name in ("auth", "posts"):
                _, headers, _ = ask(f"{runner.url(name)}/health/live", Origin=origin)
                assert headers["Access-Control-Allow-Origin"] == origin
        _, headers, _ = ask(f"{runner.url('auth')}/health/live", Origin="https://elsewhere.example.com")
        assert "Access-Control-Allow-Origin" not in headers


def test_posts_goes_on_while_auth_is_stopped(data: Path) -> None:
    """`make stop-auth` stops auth alone and `make start-auth` starts it again; each may be repeated."""
    with serving(data) as runner:
        _, login, *posting = runner.curls
        _, token, *_ = runner.paste(*runner.curls)
        for _ in range(2):
            stopped = dev("stop-auth", data)
            assert (stopped.returncode, stopped.stderr) == (0, "")
            assert "auth is stopped" in stopped.stdout
            assert not accepts(runner.url("auth"))
        post, posts = runner.paste(f"TOKEN={token}", *posting)
        assert json.loads(post)["id"] == json.loads(posts)["items"][0]["id"]
        assert ask(f"{runner.url('console')}/config.json")[0] == 200
        for _ in range(2):
            assert dev("start-auth", data).stdout == "auth is back\n"
            assert len(runner.paste(login)[0].split(".")) == 3
        assert runner.process.poll() is None


def test_an_auth_that_dies_after_a_restart_ends_the_run(data: Path) -> None:
    """An auth that was started again is watched like the first one."""
    with serving(data) as runner:
        assert dev("stop-auth", data).returncode == 0
        assert dev("start-auth", data).returncode == 0
        runner.child("auth_service").kill()
        assert runner.wait() == 1
        assert runner.left_over() == []
    assert runner.last_error() == "make run: the auth service was ended by SIGKILL"


def test_stop_ends_a_run_whose_auth_is_stopped(data: Path) -> None:
    """`make stop` ends the rest, and does not mention an auth that was already stopped."""
    with serving(data) as runner:
        assert dev("stop-auth", data).returncode == 0
        assert dev("stop", data).stdout.strip() == "ended: posts, console, Postgres, runner"
        assert runner.wait() == 0
        assert runner.left_over() == []


def test_auth_is_not_started_on_a_port_that_is_taken(data: Path) -> None:
    """If something else took auth's port, `make start-auth` fails and the run goes on."""
    with serving(data) as runner:
        assert dev("stop-auth", data).returncode == 0
        with socket.create_server(("127.0.0.1", int(runner.environment["AUTH_PORT"]))):
            refused = dev("start-auth", data)
        assert refused.returncode == 1
        assert refused.stderr == (
            "make start-auth: auth could not be started; see the terminal of `make run` for the reason\n"
        )
        assert dev("start-auth", data).returncode == 0


@pytest.mark.parametrize("command", ["stop-auth", "start-auth"])
def test_stopping_or_starting_auth_needs_a_run(data: Path, command: str) -> None:
    """Without a run, both fail in one line, even after a kill -9 of the runner; the next run has auth anyway."""
    with serving(data) as runner:
        runner.process.kill()
        runner.process.wait()
        refused = dev(command, data)
        assert refused.returncode == 1
        assert refused.stderr == (
            f"make {command}: nothing is running on {data}; start it with `make run`, or set DATA_DIR\n"
        )
    (data / f"{command}.request").touch()  # as left by a command that was killed while waiting
    with serving(data) as runner:
        assert ask(f"{runner.url('auth')}/health/ready")[0] == 200
        assert list(data.glob("*.request")) == []


def test_a_run_that_ends_before_it_answers_is_reported(data: Path) -> None:
    """If the run ends before it deals with a request, the command fails and says so."""
    with serving(data) as runner:
        psutil.Process(runner.process.pid).suspend()
        asking = start("stop-auth", data)
        while not (data / "stop-auth.request").exists():
            assert asking.poll() is None
            time.sleep(0.02)
        runner.process.kill()
        runner.process.wait()
        _, error = asking.communicate(timeout=60)
        assert error == ("make stop-auth: the run has ended in the meantime; see its terminal for the reason\n")
        assert not (data / "stop-auth.request").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_everything_in_order(data: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the services and Postgres; the status is 0."""
    with serving(data) as runner:
        runner.process.send_signal(number)
        assert runner.wait() == 0
        assert runner.left_over() == []
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_the_next_run_finds_the_data_and_the_key(data: Path) -> None:
    """A second run serves what the first one stored and accepts the tokens that it signed."""
    with serving(data) as runner:
        _, token, post, _ = runner.paste(*runner.curls)
    with serving(data) as runner:
        _, _, _, listing = runner.curls
        [posts] = runner.paste(f"TOKEN={token}", listing)
    assert json.loads(post)["id"] in [each["id"] for each in json.loads(posts)["items"]]


def test_the_key_file_is_readable_by_its_owner_alone(data: Path) -> None:
    """Nobody else can read the key file or list its folder."""
    with serving(data):
        pass
    assert stat.S_IMODE((data / "keyring.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IXGRP | stat.S_IXOTH) == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("auth_service",), "auth"),
        (("posts_service",), "posts"),
        (("console",), "console"),
        (("postgres", "-D"), "Postgres"),
    ],
)
def test_a_child_that_dies_ends_the_run(data: Path, words: tuple[str, ...], name: str) -> None:
    """If a process dies, the last line names it, the status is 1, and nothing is left running."""
    with serving(data) as runner:
        runner.child(*words).kill()
        assert runner.wait() == 1
        assert runner.left_over() == []
    assert name in runner.last_error()
    assert "SIGKILL" in runner.last_error()


def test_a_service_that_refuses_to_start_says_why(data: Path) -> None:
    """The service's own message is shown, then ours, and nothing is left running."""
    ended = dev("run", data, BCRYPT_COST="nonsense")
    lines = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert [line for line in lines if line.startswith("auth_service: BCRYPT_COST")]
    assert lines[-1] == "make run: the auth service ended with status 1"
    assert postgres.running(data / "postgres") is None


def test_one_run_at_a_time_on_a_data_directory(data: Path) -> None:
    """A second run on the same data directory fails in one line and leaves the first one alone."""
    with serving(data) as runner:
        second = dev("run", data)
        assert second.returncode == 1
        assert "another `make run`" in second.stderr
        assert second.stderr.count("\n") == 1
        assert len(runner.paste(*runner.curls)) == 4


def test_stop_ends_a_run_from_elsewhere(data: Path) -> None:
    """`make stop` ends what runs on the data directory and names it, or says that nothing runs. Both succeed."""
    with serving(data) as runner:
        stopped = dev("stop", data)
        assert stopped.stdout.strip() == "ended: auth, posts, console, Postgres, runner"
        assert runner.wait() == 0
        assert runner.left_over() == []
    idle = dev("stop", data)
    assert (idle.returncode, idle.stdout.strip()) == (0, f"nothing is running on {data}")


def test_stop_ends_what_a_killed_runner_left(data: Path) -> None:
    """After a kill -9 of the runner, `make stop` ends the services, the console and Postgres."""
    with serving(data) as runner:
        runner.process.kill()
        runner.process.wait()
        stopped = dev("stop", data)
        assert stopped.stdout.strip() == "ended: auth, posts, console, Postgres"
        assert runner.left_over() == []


def test_the_next_run_ends_what_a_killed_runner_left(data: Path) -> None:
    """After a kill -9 of the runner, the next run ends what was left behind, and serves."""
    with serving(data) as killed:
        killed.process.kill()
        killed.process.wait()
        with serving(data) as runner:
            assert killed.left_over() == []
            assert len(runner.paste(*runner.curls)) == 4


def test_reset_deletes_only_what_was_made(data: Path) -> None:
    """`make reset` ends a run and deletes the databases, the key and the gallery; other files stay."""
    with serving(data) as runner:
        others = ["gallery.png", "notes.txt", "processes.md"]
        for name in others:
            (data / name).write_text("mine")
        reset = dev("reset", data)
        assert reset.returncode == 0
        assert "deleted" in reset.stdout
        assert runner.left_over() == []
    assert sorted(path.name for path in data.iterdir()) == others


def test_reset_leaves_other_folders_alone(tmp_path: Path) -> None:
    """`make reset` deletes nothing in a folder that `make run` never used, whatever the files are called."""
    (tmp_path / "keyring.json").write_text("somebody's")
    (tmp_path / "postgres").mkdir()
    reset = dev("reset", tmp_path)
    assert "nothing" in reset.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keyring.json", "postgres"]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """If a port is taken, one line names it, its variable and `make stop`, and nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = dev("run", tmp_path / "data", POSTS_PORT=str(port))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    for part in (str(port), "POSTS_PORT", "make stop"):
        assert part in refused.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_equal_ports_are_refused(tmp_path: Path) -> None:
    """If two ports are the same, one line names both variables and the port."""
    refused = dev("run", tmp_path / "data", CONSOLE_PORT="8123", POSTS_PORT="8123")
    assert refused.returncode == 1
    assert refused.stderr == "make run: POSTS_PORT and CONSOLE_PORT are both 8123; choose different ports\n"


@pytest.mark.parametrize("value", ["tcp://10.0.0.1:8001", "0", "65536", "８００１", "-1", " 8001"])
def test_an_invalid_port_is_refused(tmp_path: Path, value: str) -> None:
    """An invalid port, such as the URL that Kubernetes may put there, is refused in one line."""
    refused = dev("run", tmp_path / "data", AUTH_PORT=value)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"make run: AUTH_PORT is {value!r}")
    assert refused.stderr.count("\n") == 1


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """If the data directory can't be created, one line names it and the variable."""
    (tmp_path / "file").touch()
    refused = dev("run", tmp_path / "file" / "data")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert str(tmp_path / "file" / "data") in refused.stderr
    assert "DATA_DIR" in refused.stderr


def test_root_changes_no_mode_and_finds_its_data_again(tmp_path: Path) -> None:
    """In a folder that others can't enter, root's databases go elsewhere; `make reset` deletes them there too."""
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    data = closed / "data"
    before = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}
    with serving(data) as runner:
        _, token, post, _ = runner.paste(*runner.curls)
    databases = (data / "postgres").resolve()
    assert ((data / "postgres").is_symlink(), databases.is_relative_to("/var")) == (os.geteuid() == 0,) * 2
    with serving(data, keep=False) as runner:
        [posts] = runner.paste(f"TOKEN={token}", runner.curls[-1])
        assert str(databases.parent) in "\n".join(runner.said)
    assert json.loads(posts)["items"] == [json.loads(post)]
    assert {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents} == before
    assert not data.exists()
    assert not databases.exists()
