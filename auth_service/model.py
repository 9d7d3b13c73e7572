"""The words that the auth service is written in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["user", "moderator", "admin"]

SCOPES: dict[str, str] = {
    "user": "posts:read posts:write",
    "moderator": "posts:read posts:write posts:moderate",
    "admin": "posts:read posts:write posts:moderate users:admin",
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
    """One log-in that is still good."""

    id: UUID
    user_id: UUID
    created_at: datetime
