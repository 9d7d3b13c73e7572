"""The domain vocabulary of the auth service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["user", "moderator", "admin"]

ADMINISTER = "users:admin"

SCOPES: dict[Role, str] = {
    "user": "posts:read posts:write",
    "moderator": "posts:read posts:write posts:moderate",
    "admin": "posts:read posts:write posts:moderate",
}
"""What each role may do at the resource services: the scope of an access token."""

ACCOUNT_SCOPES: dict[Role, str] = {"user": "", "moderator": "", "admin": ADMINISTER}
"""What each role may do at auth, beyond managing its own account: the scope of an account token."""


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
class NewUser:
    """An account that is not stored yet.

    Args:
        id: Its id.
        email: The address as the user writes it.
        email_key: The form in which two spellings of one address are equal.
        name: The name that others see.
        password_hash: The hash of its password.
        role: Its role.
    """

    id: UUID
    email: str
    email_key: str
    name: str
    password_hash: str
    role: Role


@dataclass(frozen=True, slots=True)
class Session:
    """One place where a user is signed in."""

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """Who is calling, as far as the connection tells.

    Args:
        address: The address.
        networks: What attempts are counted by, the narrowest first: one for IPv4, several for IPv6.
        device: What it says that it is.
    """

    address: str
    networks: Sequence[str]
    device: str

    @property
    def network(self) -> str:
        """The narrowest network; it is what an account knows."""
        return self.networks[0]

    @property
    def widest_network(self) -> str:
        """The widest network that may belong to one client."""
        return self.networks[-1]


@dataclass(frozen=True, slots=True)
class Event:
    """An audit event: who did what to whom, and from where. Never contains a password, a token or a key."""

    name: str
    user_id: UUID | None
    actor_id: UUID | None = None
    session_id: UUID | None = None
    address: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """How attempts of one kind are slowed down. Each counts as failed until it succeeds.

    Args:
        kind: What is counted; one of the kinds in the attempts table.
        failures: Failures within a window that cause a wait.
        window: Seconds from the first failure until they are forgotten.
        first_wait: Seconds of the first wait; each further failure doubles it. None: the rest of the window.
        longest_wait: The maximum wait in seconds, if waits double.
        in_a_row: Whether each failure starts the window anew, and the wait has no end.
        after_success: What a success does to the count: it takes its own attempt back, or clears it, or neither.
        event: The audit event to record when the limit is reached, even by an attempt that then succeeds.
    """

    kind: str
    failures: int
    window: float
    first_wait: float | None = None
    longest_wait: float | None = None
    in_a_row: bool = False
    after_success: Literal["uncounted", "cleared", "kept"] = "uncounted"
    event: str | None = None


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long sessions live.

    Args:
        idle_seconds: A session ends when it is not refreshed for this long.
        absolute_seconds: Its maximum lifetime.
        grace_seconds: After a rotation, the replaced refresh token is accepted for this long.
        key_seconds: The same if the idempotency key is sent with it, until the new token is used.
        per_user: Sessions that a user can have; signing in once more ends the least recently used one.
    """

    idle_seconds: float
    absolute_seconds: float
    grace_seconds: float
    key_seconds: float = 86_400
    per_user: int = 50
