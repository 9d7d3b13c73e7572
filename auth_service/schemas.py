"""The bodies and queries that the auth service reads, and the bodies that it writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter

from auth_service.model import Role, Session, User
from auth_service.password_rules import MAX_LENGTH, normalised
from shared.routes import Header, Id, Schema
from shared.text import LINE, PROSE
from shared.tokens import MAX_NAME

_MAX_DECOMPOSED = 4
"""Code points that one character can be sent as (canonical decomposition)."""


def _composed(value: object) -> object:
    """Let the characters be counted that are hashed: NFC, however they were sent."""
    # what is longer is too long in any form, and a long run of marks takes quadratic time to compose
    return normalised(value) if isinstance(value, str) and len(value) <= MAX_LENGTH * _MAX_DECOMPOSED else value


Email = Annotated[str, Field(max_length=254, examples=["ada@example.com"]), LINE]
Password = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery staple"]),
    PROSE,
    BeforeValidator(_composed),
]
NewPassword = Annotated[
    Password,
    Field(
        description="At least 15 characters, unless the operator chose otherwise; none that everybody tries first, and"
        " none made of the address or the name"
    ),
]
Name = Annotated[str, Field(max_length=MAX_NAME, examples=["Ada"]), LINE]
RefreshToken = Annotated[str, Field(min_length=1, max_length=255)]

SESSION_ID = Id(TypeAdapter(UUID), "a UUID in lower case")
USER_ID = Id(TypeAdapter(UUID), "a UUID in lower case")

NO_STORE = Header("Cache-Control", "No cache may keep it", "no-store", "no-store")


class Registration(Schema):
    """Body of POST /register."""

    email: Annotated[Email, Field(json_schema_extra={"format": "email"})]
    password: NewPassword
    name: Name


class Login(Schema):
    """Body of POST /login."""

    email: Email
    password: Password


class Refresh(Schema):
    """Body of POST /refresh, and of POST /logout."""

    refresh_token: RefreshToken


class Renaming(Schema):
    """Body of PATCH /me."""

    name: Name


class Deletion(Schema):
    """Body of DELETE /me."""

    password: Password


class PasswordChange(Schema):
    """Body of POST /me/password."""

    current_password: Password
    new_password: NewPassword


class UserChange(Schema):
    """Body of PATCH /users/{id}: what is not there stays as it is."""

    # only what was sent counts. Made by factories, the defaults stay out of the OpenAPI document too
    disabled: bool = Field(default_factory=bool)
    role: Role = Field(default_factory=lambda: "user")


class UsersWanted(Schema):
    """Query of GET /users."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False, description="Most users of a page")] = 20
    cursor: str | None = Field(default=None, description="`next` of the page before")


@dataclass(frozen=True, slots=True)
class Account:
    """A user, as that user sees the account."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        """What of a user is shown."""
        return cls(user.id, user.email, user.name, user.role, user.created_at, user.updated_at)


@dataclass(frozen=True, slots=True)
class Users:
    """A page of users, as an admin sees them, and the cursor of the next page if there is one."""

    items: Sequence[User]
    next: str | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in gives (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    scope: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One place where the user is signed in; `current` is the one that asks."""

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class SessionList:
    """Everywhere the user is signed in."""

    items: Sequence[SignedIn]

    @classmethod
    def of(cls, sessions: Iterable[Session], current: UUID) -> Self:
        """What is shown of sessions, one of which asks."""
        return cls(
            [
                SignedIn(
                    session.id,
                    session.device,
                    session.address,
                    session.created_at,
                    session.last_used_at,
                    session.expires_at,
                    session.id == current,
                )
                for session in sessions
            ]
        )


ACCOUNT = TypeAdapter(Account)
USER = TypeAdapter(User)
USERS = TypeAdapter(Users)
TOKENS = TypeAdapter(Tokens)
SESSIONS = TypeAdapter(SessionList)
