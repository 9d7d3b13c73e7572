"""The words that the auth service is written in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["user", "moderator", "admin"]

ADMINISTER = "users:admin"

SCOPES: dict[Role, str] = {
    "user": "posts:read posts:write",
    "moderator": "posts:read posts:write posts:moderate",
    "admin": f"posts:read posts:write posts:moderate {ADMINISTER}",
}
"""What each role may do, as the scope claim says it."""


@dataclass(frozen=True, slots=True)
class User:
    """An account, without its password hash."""

    id: UUID
    email: str
    name: str
    role: Role
    disabled_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A place where somebody is signed in."""

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """Who is asking, as far as the connection tells. `network` is what guesses are counted by."""

    address: str
    network: str
    device: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something for the audit: who did what to whom, from where. Never a password, a token or a key."""

    name: str
    user_id: UUID | None
    actor_id: UUID | None = None
    session_id: UUID | None = None
    address: str | None = None
    detail: str | None = None
