"""make audit: known vulnerabilities of everything in the lock files.

Asks https://api.osv.dev, or reads a copy of its data where there is no network: OSV=all.zip, from
https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip. An advisory that SECURITY.md explains is accepted; any
other makes the command fail, and so does a source that doesn't answer.
"""

import json
import os
import re
import sys
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

ROOT = Path(__file__).parent.parent
API = "https://api.osv.dev/v1"
ECOSYSTEM = "PyPI"
TIMEOUT_SECONDS = 30

_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
_ACCEPTED = re.compile(
    r"^\| `(?P<name>[a-z0-9-]+)` (?P<version>\S+) \| (?P<ids>[^|]+) \| (?P<why>[^|]+) \|$", re.MULTILINE
)

Pin = tuple[str, str]
"""A package and its locked version."""


@dataclass(frozen=True)
class Found:
    """An advisory that affects a pin; `names` are its id and its aliases."""

    pin: Pin
    names: frozenset[str]
    summary: str


def locked() -> list[Pin]:
    """Return what the lock files pin, each once."""
    texts = (file.read_text(encoding="utf-8") for file in sorted((ROOT / "requirements").glob("*.txt")))
    return sorted({(pin["name"], pin["version"]) for text in texts for pin in _PIN.finditer(text)})


def accepted() -> dict[Pin, frozenset[str]]:
    """Return the advisories that SECURITY.md explains, by the package and version that it explains them for."""
    rows = _ACCEPTED.finditer((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    return {(row["name"], row["version"]): frozenset(re.findall(r"[\w-]+-\d[\w-]+", row["ids"])) for row in rows}


def in_file(pins: Iterable[Pin], file: Path) -> Iterator[Found]:
    """Yield the advisories of OSV's data, a zip of JSON files, that affect these pins."""
    wanted = dict(pins)
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            record = json.loads(archive.read(member))
            for affected in record.get("affected", ()):
                package = affected.get("package", {})
                name = _normalized(package.get("name", ""))
                if package.get("ecosystem") == ECOSYSTEM and name in wanted and affects(affected, wanted[name]):
                    yield _found((name, wanted[name]), record)


def from_api(pins: Iterable[Pin], api: str = API) -> Iterator[Found]:
    """Yield the advisories that OSV's API knows for these pins.

    Raises:
        OSError: it doesn't answer.
    """
    pins = list(pins)
    queries = [{"package": {"name": name, "ecosystem": ECOSYSTEM}, "version": version} for name, version in pins]
    results = _json(f"{api}/querybatch", {"queries": queries})["results"]
    for pin, result in zip(pins, results, strict=True):
        for entry in result.get("vulns", ()):
            yield _found(pin, _json(f"{api}/vulns/{entry['id']}"))


def affects(affected: Mapping[str, Any], version: str) -> bool:
    """Whether an entry of an advisory covers a version: it is listed, or in a range."""
    if version in affected.get("versions", ()):
        return True
    events = (each["events"] for each in affected.get("ranges", ()) if each.get("type") == "ECOSYSTEM")
    return any(_in_range(each, Version(version)) for each in events)


def _in_range(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    inside = False
    for event in events:
        (kind, at), *_ = event.items()
        passed = at == "0" or version >= Version(at)
        if kind == "introduced" and passed:
            inside = True
        elif (kind == "fixed" and passed) or (kind == "last_affected" and version > Version(at)):
            inside = False
    return inside


def _found(pin: Pin, record: Mapping[str, Any]) -> Found:
    names = frozenset([record["id"], *record.get("aliases", ())])
    return Found(pin, names, record.get("summary") or record.get("details", "").split("\n")[0][:120])


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _json(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  our own URL
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  as above
        return json.load(answer)


def main() -> None:
    """Print each advisory, and fail if one is not in SECURITY.md's table."""
    pins, explained = locked(), accepted()
    source = os.environ.get("OSV")
    try:
        found = set(in_file(pins, Path(source)) if source else from_api(pins))
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"make audit: {source or API}: {error}. Nothing was checked; OSV=all.zip reads a copy of the data")
    new = [each for each in found if not each.names & explained.get(each.pin, frozenset())]
    for each in sorted(found, key=lambda found: (found.pin, sorted(found.names))):
        verdict = "NEW" if each in new else "in SECURITY.md"
        print(f"{'=='.join(each.pin)}  {' '.join(sorted(each.names))}  {verdict}: {each.summary}")
    print(f"{len(pins)} packages, {len(found)} advisories, {len(new)} of them not explained in SECURITY.md")
    if new:
        sys.exit(1)


if __name__ == "__main__":
    main()
