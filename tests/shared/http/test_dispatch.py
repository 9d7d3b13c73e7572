"""Handlers take the arguments that their routes declare."""

import inspect
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from aiohttp import web

from auth_service import routes as auth
from posts_service import routes as posts
from shared.http.routes import Route


@pytest.mark.parametrize("route", [*auth.ROUTES, *posts.ROUTES], ids=lambda route: f"{route.method} {route.path}")
def test_a_handler_takes_what_its_route_declares(route: Route) -> None:
    """A handler's parameters are the request, then the id, headers, query and body that its route declares."""
    hints = get_type_hints(route.handler)
    assert issubclass(hints.pop("return"), web.StreamResponse)
    given = [hints[name] for name in inspect.signature(route.handler).parameters]
    expected: list[Any] = [web.Request]
    if route.id is not None:
        expected.append({"int": int, "uuid": UUID}[route.id.adapter.core_schema["type"]])
    expected += [get_type_hints(header.read)["return"] for header in route.headers]
    if route.query is not None:
        expected.append(route.query)
    if route.body is not None:
        expected.append(route.body | None if route.body_optional else route.body)
    assert given == expected
