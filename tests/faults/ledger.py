"""Writes that clients sent, what they were told, and what the database has in the end."""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

import asyncpg
from aiohttp import ClientError, ClientSession

TIMEOUT_SECONDS = 30.0


@dataclass
class Ledger:
    """The fate of every post that was sent: acknowledged (201), refused, or unknown.

    Unknown is a write without an answer, or with a 5xx: it may have been stored or not.
    """

    acknowledged: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)

    async def write(
        self, http: ClientSession, posts: str, token: str, title: str, body: str = "Some text"
    ) -> int | None:
        """Send one post, note what was answered, and return the status, or None if there was no answer."""
        try:
            async with http.post(
                f"{posts}/posts",
                json={"title": title, "body": body},
                headers={"Authorization": f"Bearer {token}"},
            ) as answer:
                await answer.read()
                status = answer.status
        except (ClientError, TimeoutError):
            self.unknown.add(title)
            return None
        if status == HTTPStatus.CREATED:
            self.acknowledged.add(title)
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.unknown.add(title)
        else:
            self.refused[status] += 1
        return status

    async def compare(self, database_url: str) -> "Balance":
        """Compare with the database. Titles must be unique."""
        connection = await asyncpg.connect(database_url)
        try:
            stored = Counter(row["title"] for row in await connection.fetch("SELECT title FROM posts"))
        finally:
            await connection.close()
        return Balance(
            acknowledged=len(self.acknowledged),
            unknown=len(self.unknown),
            lost=len(self.acknowledged - stored.keys()),
            doubled=sum(count > 1 for count in stored.values()),
            stored_although_unknown=len(self.unknown & stored.keys()),
            foreign=len(stored.keys() - self.acknowledged - self.unknown),
        )


@dataclass(frozen=True, slots=True)
class Balance:
    """The comparison of a ledger with the database."""

    acknowledged: int
    unknown: int
    lost: int
    """Acknowledged, but not in the database."""
    doubled: int
    stored_although_unknown: int
    foreign: int
    """In the database although they were refused or never sent."""
