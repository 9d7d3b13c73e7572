"""python -m benchmarks.request_path: the files whose code runs for one log-in and for one new post.

Lists the project's modules in the order in which they are entered; modules that only declare things are not listed.
"""

import asyncio
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Self

from aiohttp import ClientSession

from dev.service_process import new_keyrings
from tests import postgres
from tests.api_client import auth_app, posts_app, served

ROOT = Path(__file__).parent.parent
PACKAGES = ("auth_service", "posts_service", "shared")


class Recorder:
    """Collects the files in which a function is called while it is recording."""

    def __init__(self) -> None:
        self.files: dict[Path, None] = {}

    def __enter__(self) -> Self:
        threading.setprofile(self._note)  # also for the threads that hash passwords, which start later
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in PACKAGES:
            self.files.setdefault(file)

    def report(self, name: str) -> None:
        """Print the files, with their lines and the total."""
        lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in self.files]
        print(f"{name}: {len(lines)} files, {sum(lines):,} lines")
        for file, count in zip(self.files, lines, strict=True):
            print(f"  {count:4}  {file.relative_to(ROOT)}")


async def main() -> None:
    """Run both services, and record both requests."""
    with tempfile.TemporaryDirectory() as folder, postgres.running("embedded") as server:
        keyring = Path(folder) / "keyring.json"
        new_keyrings(keyring)
        auth_database, posts_database = await server.create_database(), await server.create_database()
        async with (
            served(auth_app(auth_database, keyring)) as auth,
            served(posts_app(posts_database, keyring)) as posts,
            ClientSession() as http,
        ):
            account = {"email": "ada@example.com", "password": "a long enough passphrase"}
            await (await http.post(f"{auth}/register", json={**account, "name": "Ada"})).read()
            with Recorder() as recorder:
                tokens = await (await http.post(f"{auth}/login", json=account)).json()
            recorder.report("log-in")
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            with Recorder() as recorder:
                await (await http.post(f"{posts}/posts", json={"title": "A", "body": "B"}, headers=headers)).read()
            recorder.report("new post")


if __name__ == "__main__":
    asyncio.run(main())
