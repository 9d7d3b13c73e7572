"""What is installed is locked by hash, and a known vulnerability in it is found or explained."""

import json
import re
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests import audit
from tests.audit import ROOT, Found

LOCK_FILES = sorted((ROOT / "requirements").glob("*.txt"))
UNUSED = ("ecdsa", "rsa", "pyasn1", "jose.jwt", "jose.jwe", "jose.backends.rsa_backend", "jose.backends.ecdsa_backend")
"""What python-jose brings along, and no service needs."""


@pytest.mark.parametrize("file", LOCK_FILES, ids=lambda file: file.name)
def test_each_package_is_pinned_with_hashes(file: Path) -> None:
    """Every line of a lock file is an exact version with at least one hash, and names no address."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert blocks
    for block in blocks:
        first, *more = (line.rstrip("\\ ").strip() for line in block.splitlines())
        assert re.fullmatch(r"[a-z0-9._-]+(\[[^]]*\])?==[^\s;]+( ; .+)?", first), first
        assert more, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in more), first


@pytest.mark.parametrize("service", ["auth_service", "posts_service"])
@pytest.mark.slow
def test_no_service_imports_what_python_jose_brings_along(service: str) -> None:
    """Neither service loads ecdsa, rsa or pyasn1, or the parts of python-jose that use them."""
    code = f"import sys, {service}.__main__; print(sorted(set({UNUSED}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_explained_advisory_is_about_what_is_locked() -> None:
    """SECURITY.md explains advisories of versions that are in the lock files, and says why for each."""
    explained = audit.accepted()
    assert ("ecdsa", "0.19.2") in explained
    assert set(explained) <= set(audit.locked())
    assert all(explained.values())


def record(name: str, package: str, *events: dict[str, str], versions: tuple[str, ...] = ()) -> dict[str, object]:
    """An advisory as OSV writes it."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *events]}] if events or not versions else []
    affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": ranges, "versions": list(versions)}
    return {"id": name, "aliases": [f"CVE-{name}"], "summary": "It is bad", "affected": [affected]}


@pytest.mark.parametrize(
    ("advisory", "version", "affected"),
    [
        (record("a", "some-package"), "1.0", True),
        (record("a", "Some.Package"), "1.0", True),
        (record("a", "another"), "1.0", False),
        (record("a", "some_package", {"fixed": "1.0"}), "1.0", False),
        (record("a", "some_package", {"fixed": "1.0"}), "1.0rc1", True),
        (record("a", "some_package", {"fixed": "1.10"}), "1.9", True),
        (record("a", "some_package", {"last_affected": "1.0"}), "1.0", True),
        (record("a", "some_package", {"last_affected": "1.0"}), "1.0.1", False),
        (record("a", "some_package", {"fixed": "1.0"}, {"introduced": "2.0"}), "2.1", True),
        (record("a", "some_package", versions=("1.0",)), "1.0", True),
        (record("a", "some_package", versions=("1.0",)), "1.1", False),
    ],
)
def test_an_advisory_is_found_by_name_and_version(
    tmp_path: Path, advisory: dict[str, object], version: str, affected: bool
) -> None:
    """OSV's ranges and lists are read as its schema says, whatever the spelling of the package's name."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(advisory))
    pin = ("some-package", version)
    expected = [Found(pin, frozenset({"a", "CVE-a"}), "It is bad")] if affected else []
    assert list(audit.in_file([pin], tmp_path / "all.zip")) == expected


class Osv(BaseHTTPRequestHandler):
    """Answers as https://google.github.io/osv.dev/api says: ids for a batch of packages, and a record for an id."""

    def do_POST(self) -> None:
        """POST /querybatch: one advisory for each old-package, none for others."""
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        old = [query["package"] == {"name": "old-package", "ecosystem": "PyPI"} for query in queries]
        self.answer(
            {
                "results": [
                    {"vulns": [{"id": "a", "modified": "2026-01-01T00:00:00Z"}]} if is_old else {} for is_old in old
                ]
            }
        )

    def do_GET(self) -> None:
        """GET /vulns/{id}: the advisory."""
        assert self.path == "/vulns/a"
        self.answer(record("a", "old-package"))

    def answer(self, body: object) -> None:
        """Send JSON."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_the_api_is_asked_for_all_packages_at_once() -> None:
    """OSV's API gets one request for the names and versions, and one for each advisory."""
    with HTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            pins = [("new-package", "1.0"), ("old-package", "1.0")]
            found = list(audit.from_api(pins, f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()
    assert found == [Found(("old-package", "1.0"), frozenset({"a", "CVE-a"}), "It is bad")]


def run(osv: Path | None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command that make runs."""
    environment = {"PYTHONPATH": str(ROOT), **({"OSV": str(osv)} if osv else {}), **more}
    command = [sys.executable, "-m", "tests.audit"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_new_advisory_fails_and_an_explained_one_does_not(tmp_path: Path) -> None:
    """The command accepts what SECURITY.md explains, under any of its names, and fails for anything else."""
    minerva = {**record("GHSA-wj6h-64fc-37mp", "ecdsa"), "aliases": ["CVE-2024-23342"]}
    with zipfile.ZipFile(tmp_path / "known.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(minerva))
    known = run(tmp_path / "known.zip")
    assert known.returncode == 0, known
    assert "1 advisories, 0 of them not explained" in known.stdout
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(minerva))
        archive.writestr("b.json", json.dumps(record("GHSA-new", "aiohttp")))
    new = run(tmp_path / "new.zip")
    assert new.returncode == 1
    assert "NEW: It is bad" in new.stdout


@pytest.mark.slow
def test_without_data_nothing_is_said_to_be_fine(tmp_path: Path) -> None:
    """If the advisories can't be read, the command fails and says so."""
    (tmp_path / "broken.zip").write_text("no zip")
    for done in (
        run(tmp_path / "missing.zip"),
        run(tmp_path / "broken.zip"),
        run(None, https_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9"),
    ):
        assert done.returncode == 1
        assert "Nothing was checked" in done.stderr
        assert not done.stdout
