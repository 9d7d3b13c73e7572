"""Writing key files: what each command does, and what it refuses."""

import json
import multiprocessing
import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from auth_service import keys
from shared.errors import StartupError
from shared.tokens.keyring import Keyring, kid_of
from tests.api_client import Pair
from tests.auth_service.commands import Operator

NOW = 1_800_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file with one key."""
    keys.new(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


def secrets_in(file: Path) -> list[str]:
    """The secrets in a key file."""
    return [entry["k"] for entry in json.loads(file.read_text())["keys"]]


def test_a_new_keyring_can_be_read_and_is_private(tmp_path: Path) -> None:
    """A new key file has one valid key and is readable only by its owner, and no other file is left beside it."""
    kid = keys.new(tmp_path / "keyring.json")
    assert Keyring(file=tmp_path / "keyring.json").current.kids == [kid]
    assert (tmp_path / "keyring.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.json"]


def test_a_fresh_kid_is_never_taken_for_an_option(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key whose id would start with a hyphen is discarded, because commands would read it as an option."""
    draws = (number.to_bytes(32) + bytes(range(32)) for number in count())
    awkward = next(secret for secret in draws if kid_of(secret).startswith("-"))
    good = next(secret for secret in draws if not kid_of(secret).startswith("-"))
    drawn = iter([awkward, good])
    monkeypatch.setattr("secrets.token_bytes", lambda size: next(drawn, os.urandom(size)))
    assert keys.add(file) == kid_of(good)


def test_a_key_file_is_never_overwritten(file: Path) -> None:
    """`keys new` refuses to overwrite an existing file and leaves it unchanged."""
    before = file.read_bytes()
    with pytest.raises(StartupError, match="was not changed"):
        keys.new(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_key_is_not_written_through_a_link(tmp_path: Path, *, exists: bool) -> None:
    """`keys new` refuses a symbolic link, since its owner could choose where the key is written."""
    target, link = tmp_path / "elsewhere" / "keyring.json", tmp_path / "keyring.json"
    target.parent.mkdir()
    if exists:
        target.write_text("theirs")
    link.symlink_to(target)
    with pytest.raises(StartupError, match="is a symbolic link; name the file itself"):
        keys.new(link)
    assert [path.read_text() for path in target.parent.iterdir()] == ["theirs"] * exists


def test_the_life_of_a_key(file: Path) -> None:
    """An added key verifies; once promoted, it signs; the previous key keeps verifying until it is retired."""
    (old,) = keys.read(file).kids
    new = keys.add(file)
    assert keys.read(file).kids == [old, new]
    keys.promote(file, new, NOW)
    assert keys.read(file).kids == [new, old]
    keys.retire(file, old, NOW + 915, token_seconds=910)
    assert keys.read(file).kids == [new]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_whose_tokens_may_live_is_not_retired(file: Path) -> None:
    """A key can't be retired until the last token it may have signed has expired, except by force."""
    (old,) = keys.read(file).kids
    keys.promote(file, keys.add(file), NOW)
    end = NOW + keys.NOTICE_SECONDS + 910
    with pytest.raises(StartupError, match="another 2 s"):
        keys.retire(file, old, end - 1, token_seconds=910)
    keys.retire(file, old, end - 1, token_seconds=910, force=True)
    assert old not in keys.read(file).kids


def test_a_key_that_signed_twice_is_counted_from_the_last_time(file: Path) -> None:
    """If a key was promoted and replaced again, its waiting time starts over."""
    (first,) = keys.read(file).kids
    second = keys.add(file)
    keys.promote(file, second, NOW)
    keys.promote(file, first, NOW + 5000)
    keys.promote(file, second, NOW + 9000)
    with pytest.raises(StartupError, match="may be valid"):
        keys.retire(file, first, NOW + 9001, token_seconds=910)


def test_the_signing_key_and_the_last_one_are_not_retired(file: Path) -> None:
    """The signing key can't be retired, even by force, so a keyring never becomes empty."""
    (last,) = keys.read(file).kids
    with pytest.raises(StartupError, match="promote another key first"):
        keys.retire(file, last, NOW, token_seconds=0, force=True)
    keys.add(file)
    with pytest.raises(StartupError, match="promote another key first"):
        keys.retire(file, last, NOW, token_seconds=0, force=True)


def test_an_unknown_key_is_refused_with_the_known_ones(file: Path) -> None:
    """Promoting or retiring an unknown key is refused, naming the known ones; so is promoting the signing key."""
    (kid,) = keys.read(file).kids
    with pytest.raises(StartupError, match=kid):
        keys.promote(file, "x", NOW)
    with pytest.raises(StartupError, match=kid):
        keys.retire(file, "x", NOW, token_seconds=0)
    with pytest.raises(StartupError, match="already"):
        keys.promote(file, kid, NOW)


def test_a_broken_file_is_not_touched(file: Path) -> None:
    """No command changes a file that is not a valid keyring."""
    file.write_text('{"keys": [{"kty": "oct"}]}')
    with pytest.raises(StartupError):
        keys.add(file)
    with pytest.raises(StartupError):
        keys.promote(file, "x", NOW)
    assert file.read_text() == '{"keys": [{"kty": "oct"}]}'


def test_a_change_keeps_the_right_to_read(file: Path) -> None:
    """A changed file stays readable by its owner, and by its group if it was; all other rights are removed."""
    for before, after in ((0o640, 0o640), (0o600, 0o600), (0o666, 0o640)):
        file.chmod(before)
        keys.add(file)
        assert file.stat().st_mode & 0o777 == after


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """A key file behind a symbolic link is changed in its place, and the link stays."""
    link = tmp_path / "link.json"
    link.symlink_to(file)
    keys.add(link)
    assert link.is_symlink()
    assert len(keys.read(file).kids) == 2


@pytest.mark.slow
def test_no_key_is_lost_when_many_are_added_at_once(file: Path) -> None:
    """When several processes add keys at once, every key is kept."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        added = pool.map(keys.add, [file] * 12)
    assert set(added) < set(keys.read(file).kids)
    assert len(keys.read(file).kids) == 13


@pytest.mark.slow
async def test_the_commands_print_kids_and_never_keys(tmp_path: Path, operator: Operator) -> None:
    """Commands print key ids; the keys themselves are only in the file."""
    file = tmp_path / "keyring.json"
    said = [await operator(None, "keys", name, str(file)) for name in ("new", "add", "list")]
    first, second = keys.read(file).kids
    said += [
        await operator(None, "keys", "promote", str(file), second, "--force"),
        await operator(None, "keys", "retire", str(file), first),
        await operator(None, "keys", "retire", str(file), first, "--force"),
    ]
    assert [done.status for done in said] == [0, 0, 0, 0, 1, 0]
    assert said[2].output == f"{first}  signs and verifies\n{second}  verifies\n"
    everything = "".join(done.output + done.errors for done in said)
    assert not any(secret in everything for secret in secrets_in(file))


@pytest.mark.slow
async def test_promote_needs_ready_urls_or_force(file: Path, operator: Operator) -> None:
    """Without `--ready` or `--force`, promote changes nothing."""
    kid = keys.add(file)
    before = file.read_bytes()
    assert "--ready URL" in (await operator(None, "keys", "promote", str(file), kid)).refusal
    assert file.read_bytes() == before


async def test_promote_is_refused_while_a_service_does_not_know_the_key(pair: Pair, keyring_file: Path) -> None:
    """A replica that doesn't list the key, has a stale keyring or doesn't answer blocks the promotion."""
    kid = keys.read(keyring_file).kids[0]
    stranger = "AAAAAAAAAAAAAAAA"
    ready = (await pair.call("GET", f"{pair.posts}/health/ready")).body
    assert list(keys.unready(kid, {"posts": ready})) == []
    assert "does not list" in next(keys.unready(stranger, {"posts": ready}))
    assert "as ok" in next(keys.unready(kid, {"posts": ready | {"keyring": "stale"}}))
    assert "is not ready" in next(keys.unready(kid, {"posts": None}))


async def test_promote_needs_every_replica(file: Path, operator: Operator) -> None:
    """One unreachable replica is enough to refuse a promotion."""
    kid = keys.add(file)
    done = await operator(None, "keys", "promote", str(file), kid, "--ready", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1/health/ready is not ready" in done.refusal
    assert keys.read(file).kids[0] != kid


@pytest.mark.parametrize("name", ["new", "add"])
async def test_a_missing_folder_is_reported_in_one_line(tmp_path: Path, operator: Operator, name: str) -> None:
    """If the file can't be written, the command prints one line and ends with status 1."""
    done = await operator(None, "keys", name, str(tmp_path / "none" / "keyring.json"))
    assert "can't be written" in done.refusal


@pytest.mark.parametrize(
    "answer",
    [{"kids": 5}, {"kids": ["K"], "keyring": "\x1b]0;pwned\x07"}, {"kids": None, "private_kids": {"K": 1}}, {}, [], 7],
)
def test_a_strange_answer_is_no_reason_to_promote(answer: Any) -> None:
    """Whatever a service answers, a key is not promoted unless it is listed, and nothing of the answer is printed."""
    [reason] = keys.unready("K", {"http://posts": answer})
    assert reason.isprintable()
    assert "pwned" not in reason
