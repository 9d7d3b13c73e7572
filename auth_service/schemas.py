"""What the auth service reads from requests and writes into answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter

from auth_service import model
from auth_service.model import Role
from auth_service.password_rules import MAX_LENGTH, normalized
from shared.http import idempotency
from shared.http.routes import Id, Schema
from shared.text_validation import LINE, NAME, PROSE
from shared.tokens.claims import MAX_NAME

_MAX_DECOMPOSED = 4
"""Code points into which canonical decomposition can split one character."""


def _composed(value: object) -> object:
    """Compose the characters before they are counted, because the NFC form is what gets hashed."""
    # anything longer is too long in any form, and composing a long run of marks takes quadratic time
    return normalized(value) if isinstance(value, str) and len(value) <= MAX_LENGTH * _MAX_DECOMPOSED else value


Email = Annotated[str, Field(max_length=254, examples=["ada@example.com"]), LINE]
Password = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LENGTH, examples=["ferns whistle behind nine teapots"]),
    PROSE,
    BeforeValidator(_composed),
]
NewPassword = Annotated[
    Password,
    Field(
        description="At least 15 characters, unless the operator chose otherwise; not a common password, not made from"
        " the address, the name or a name of this service, and not easily guessed"
    ),
]
Name = Annotated[str, Field(max_length=MAX_NAME, examples=["Ada"]), NAME]
RefreshToken = Annotated[str, Field(min_length=1, max_length=255)]

IDEMPOTENCY_KEY = idempotency.header(
    "Makes it safe to send the same refresh token again: for 24 hours, the same key gets the same successor, until that"
    " is used. Use a new random key for each refresh token, such as a UUID"
)

SESSION_ID = Id(TypeAdapter(UUID), "lowercase UUIDs")
USER_ID = Id(TypeAdapter(UUID), "lowercase UUIDs")


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


class Confirmation(Schema):
    """Body of DELETE /me and of POST /me/verify."""

    password: Password


class PasswordChange(Schema):
    """Body of POST /me/password."""

    current_password: Password
    new_password: NewPassword


class UserChange(Schema):
    """Body of PATCH /users/{id}: fields left out stay as they are."""

    # only the fields that were sent count. Default factories keep the defaults out of the OpenAPI document too
    disabled: bool = Field(default_factory=bool)
    role: Role = Field(default_factory=lambda: "user")


class UsersQuery(Schema):
    """Query of GET /users."""

    limit: Annotated[int, Field(ge=1, le=100, strict=False, description="Maximum number of users")] = 20
    cursor: str | None = Field(default=None, description="`next` of the previous page")


@dataclass(frozen=True, slots=True)
class Account:
    """An account, as its user sees it."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: model.User) -> Self:
        """Show a user."""
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


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

    @classmethod
    def of(cls, user: model.User) -> Self:
        """Show a user to an admin."""
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
            disabled_at=user.disabled_at,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


@dataclass(frozen=True, slots=True)
class Users:
    """A page of users, and the cursor of the next page if there is one."""

    items: Sequence[User]
    next: str | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer of POST /login, POST /refresh and POST /me/password (RFC 6749 section 5.1)."""

    access_token: str
    """For the resource services."""
    account_token: str
    """For the auth service, and for no other."""
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    scope: str
    """What the access token allows."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer of POST /me/verify: tokens that say when the password was confirmed."""

    access_token: str
    account_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One place where the user is signed in; `current` marks the one that is asking."""

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class SessionList:
    """All places where the user is signed in."""

    items: Sequence[SignedIn]

    @classmethod
    def of(cls, sessions: Iterable[model.Session], current: UUID) -> Self:
        """Show sessions, one of which is asking."""
        return cls(
            [
                SignedIn(
                    id=session.id,
                    device=session.device,
                    address=session.address,
                    created_at=session.created_at,
                    last_used_at=session.last_used_at,
                    expires_at=session.expires_at,
                    current=session.id == current,
                )
                for session in sessions
            ]
        )


ACCOUNT = TypeAdapter(Account)
USER = TypeAdapter(User)
USERS = TypeAdapter(Users)
TOKENS = TypeAdapter(Tokens)
VERIFIED = TypeAdapter(Verified)
SESSIONS = TypeAdapter(SessionList)
