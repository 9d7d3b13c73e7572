"""The local pair: it comes up from nothing, keeps its data, and leaves nothing running."""

import json
import signal
import socket
import stat
from pathlib import Path

import pytest

from dev import postgres
from tests.dev.runner import dev, serving


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that the tests of this file share; the first one makes it."""
    return tmp_path_factory.mktemp("pair") / "my data"


def test_the_printed_lines_work_when_pasted_again_and_again(data: Path) -> None:
    """The four printed lines register, log in, create a post and list the posts, however often they are pasted."""
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_all_of_it_cleanly_when_told_to(data: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the services and Postgres, and the status is 0."""
    with serving(data) as runner:
        runner.process.send_signal(number)
        assert runner.wait() == 0
        assert runner.left_over() == []
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_the_next_run_finds_the_data_and_the_key(data: Path) -> None:
    """A second run serves what the first one stored, and takes the tokens that it signed."""
    with serving(data) as runner:
        _, token, post, _ = runner.paste(*runner.curls)
    with serving(data) as runner:
        _, _, _, listing = runner.curls
        [posts] = runner.paste(f"TOKEN={token}", listing)
    assert json.loads(post)["id"] in [each["id"] for each in json.loads(posts)["items"]]


def test_the_key_file_is_for_its_owner_alone(data: Path) -> None:
    """Nobody else can read the key file or list the folder that it is in."""
    with serving(data):
        pass
    assert stat.S_IMODE((data / "keyring.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO) & ~(stat.S_IXGRP | stat.S_IXOTH) == 0


@pytest.mark.parametrize(
    ("words", "name"), [(("auth_service",), "auth"), (("posts_service",), "posts"), (("postgres", "-D"), "Postgres")]
)
def test_a_child_that_dies_ends_the_run(data: Path, words: tuple[str, ...], name: str) -> None:
    """When a service or Postgres dies, the last line names it, the status is not 0, and nothing is left running."""
    with serving(data) as runner:
        runner.child(*words).kill()
        assert runner.wait() == 1
        assert runner.left_over() == []
    assert name in runner.last_error()
    assert "SIGKILL" in runner.last_error()


def test_a_service_that_refuses_to_start_says_why(data: Path) -> None:
    """A service's own line about its settings is seen, followed by ours, and nothing is left running."""
    ended = dev("run", data, BCRYPT_COST="nonsense")
    lines = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert [line for line in lines if line.startswith("auth_service: BCRYPT_COST")]
    assert lines[-1] == "make run: the auth service ended with status 1"
    assert postgres.running(data / "postgres") is None


def test_one_run_at_a_time_on_a_data_directory(data: Path) -> None:
    """A second run on the same data directory says so in one line and leaves the first one alone."""
    with serving(data) as runner:
        second = dev("run", data)
        assert second.returncode == 1
        assert "another `make run`" in second.stderr
        assert second.stderr.count("\n") == 1
        assert len(runner.paste(*runner.curls)) == 4


def test_stop_ends_a_run_from_elsewhere(data: Path) -> None:
    """`make stop` ends what runs on the data directory and names it; without any it says so. Both are no failure."""
    with serving(data) as runner:
        stopped = dev("stop", data)
        assert stopped.stdout.strip() == "ended: auth, posts, Postgres, runner"
        assert runner.wait() == 0
        assert runner.left_over() == []
    idle = dev("stop", data)
    assert (idle.returncode, idle.stdout.strip()) == (0, f"nothing runs on {data}")


def test_stop_ends_what_a_killed_runner_left(data: Path) -> None:
    """After a kill -9 of the runner `make stop` ends the services and Postgres."""
    with serving(data) as runner:
        runner.process.kill()
        runner.process.wait()
        stopped = dev("stop", data)
        assert stopped.stdout.strip() == "ended: auth, posts, Postgres"
        assert runner.left_over() == []


def test_the_next_run_ends_what_a_killed_runner_left(data: Path) -> None:
    """After a kill -9 of the runner the next run ends the left-overs first, and serves."""
    with serving(data) as killed:
        killed.process.kill()
        killed.process.wait()
        with serving(data) as runner:
            assert killed.left_over() == []
            assert len(runner.paste(*runner.curls)) == 4


def test_reset_stops_and_deletes_what_was_made_and_nothing_else(data: Path) -> None:
    """`make reset` ends a run and deletes databases and key; a file of somebody else's stays."""
    with serving(data) as runner:
        (data / "notes.txt").write_text("mine")
        reset = dev("reset", data)
        assert reset.returncode == 0
        assert "deleted" in reset.stdout
        assert runner.left_over() == []
    assert [path.name for path in data.iterdir()] == ["notes.txt"]


def test_reset_leaves_a_folder_alone_that_no_run_made(tmp_path: Path) -> None:
    """`make reset` on a folder that `make run` never used deletes nothing, whatever the files are called."""
    (tmp_path / "keyring.json").write_text("somebody's")
    (tmp_path / "postgres").mkdir()
    reset = dev("reset", tmp_path)
    assert "nothing" in reset.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keyring.json", "postgres"]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """A taken port: one line with the port, the variable that moves it and `make stop`; nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = dev("run", tmp_path / "data", POSTS_PORT=str(port))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    for part in (str(port), "POSTS_PORT", "make stop"):
        assert part in refused.stderr
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.parametrize("value", ["tcp://10.0.0.1:8001", "0", "65536", "８００１", "-1", " 8001"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    """AUTH_PORT has to be a port; what Kubernetes puts there is answered with one line."""
    refused = dev("run", tmp_path / "data", AUTH_PORT=value)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"make run: AUTH_PORT is {value!r}")
    assert refused.stderr.count("\n") == 1


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A data directory below a regular file: one line that names the folder and the variable."""
    (tmp_path / "file").touch()
    refused = dev("run", tmp_path / "file" / "data")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert str(tmp_path / "file" / "data") in refused.stderr
    assert "DATA_DIR" in refused.stderr
