"""The bodies that the auth service reads and writes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, TypeAdapter

from auth_service.model import Role, User
from shared.body import Schema
from shared.text import LINE, PROSE
from shared.tokens import MAX_NAME

Email = Annotated[str, Field(max_length=254), LINE]
Password = Annotated[str, Field(min_length=1, max_length=256), PROSE]


class Registration(Schema):
    """Body of POST /register."""

    email: Email
    password: Password
    name: Annotated[str, Field(max_length=MAX_NAME), LINE]


class Login(Schema):
    """Body of POST /login."""

    email: Email
    password: Password


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
class Tokens:
    """What a log-in gives (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


ACCOUNT = TypeAdapter(Account)
TOKENS = TypeAdapter(Tokens)
