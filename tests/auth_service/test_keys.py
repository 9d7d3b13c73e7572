"""Writing key files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from auth_service import keys
from shared.errors import StartupError
from shared.keyring import Keyring


def test_a_new_keyring_can_be_read_and_is_private(tmp_path: Path) -> None:
    """A new key file has one sound key and is readable by its owner alone."""
    file = tmp_path / "keyring.json"
    kid = keys.new(file)
    assert Keyring(file=file).current.kids == [kid]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.json"]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    """Where a file is, no new one is made, and the old one stays as it is."""
    file = tmp_path / "keyring.json"
    keys.new(file)
    before = file.read_bytes()
    with pytest.raises(StartupError, match="kept as it is"):
        keys.new(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.json"]


def test_the_command_prints_the_kid_and_never_the_key(tmp_path: Path) -> None:
    """`keys new` tells the id of the key; the key itself is in the file alone."""
    file = tmp_path / "keyring.json"
    done = subprocess.run(
        [sys.executable, "-m", "auth_service", "keys", "new", str(file)], capture_output=True, text=True, check=True
    )
    (key,) = json.loads(file.read_text())["keys"]
    assert key["kid"] in done.stdout
    assert key["k"] not in done.stdout + done.stderr


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    """A file that can't be written ends the command with one line and status 1."""
    done = subprocess.run(
        [sys.executable, "-m", "auth_service", "keys", "new", str(tmp_path / "none" / "keyring.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't be written" in done.stderr
