"""Answers contain only the fields that their schemas name, even if the domain models gain more."""

from collections.abc import Sequence
from dataclasses import fields, make_dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter

import auth_service.model
import auth_service.routes
import auth_service.schemas
import posts_service.model
import posts_service.routes
import posts_service.schemas

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "id": uuid4(),
    "author_id": uuid4(),
    "version": 1,
    "tags": [],
    "role": "user",
    "disabled_at": None,
    "created_at": NOW,
    "updated_at": NOW,
    "last_used_at": NOW,
    "expires_at": NOW,
}


def grown(model: type[Any]) -> Any:
    """An instance of a model with an extra field."""
    bigger = make_dataclass(model.__name__, [("internal_note", str)], bases=(model,), frozen=True)
    values = {field.name: VALUES.get(field.name, True if field.type is bool else "text") for field in fields(model)}
    values["id"] = 1 if model is posts_service.model.Post else values["id"]
    return bigger(**values, internal_note="not for clients")


def shown(adapter: TypeAdapter[Any], value: object) -> str:
    """The JSON body of an answer."""
    return adapter.dump_json(value).decode()


@pytest.mark.parametrize(
    "body",
    [
        shown(posts_service.schemas.POST, posts_service.schemas.Post.of(grown(posts_service.model.Post))),
        shown(
            posts_service.schemas.PAGE,
            posts_service.schemas.Page.of(posts_service.model.Page([grown(posts_service.model.Post)], None)),
        ),
        shown(auth_service.schemas.ACCOUNT, auth_service.schemas.Account.of(grown(auth_service.model.User))),
        shown(auth_service.schemas.USER, auth_service.schemas.User.of(grown(auth_service.model.User))),
        shown(
            auth_service.schemas.SESSIONS,
            auth_service.schemas.SessionList.of([grown(auth_service.model.Session)], VALUES["id"]),
        ),
    ],
    ids=["post", "page", "account", "user", "sessions"],
)
def test_a_new_field_of_a_model_is_not_published(body: str) -> None:
    """A field added to a domain model appears in no answer until a schema names it."""
    assert "created_at" in body
    assert "internal_note" not in body
    assert "not for clients" not in body


@pytest.mark.parametrize("table", [auth_service.routes.ROUTES, posts_service.routes.ROUTES])
def test_no_answer_is_a_domain_model(table: Sequence[Any]) -> None:
    """Every class in an answer's schema comes from a schemas module."""
    for route in table:
        for reply in route.replies:
            if reply.body is not None:
                found = classes_in(reply.body.core_schema)
                assert found
                assert found <= {"auth_service.schemas", "posts_service.schemas"}


def classes_in(schema: object) -> set[str]:
    """The modules of the dataclasses in a pydantic core schema."""
    found = set()
    if isinstance(schema, dict):
        if schema.get("type") == "dataclass":
            found.add(schema["cls"].__module__)
        for value in schema.values():
            found |= classes_in(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            found |= classes_in(value)
    return found
