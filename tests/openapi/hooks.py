"""What Schemathesis is told about the pair: who signs in, where requests come from, when valid data may be refused."""

import asyncio
import json
import os
import urllib.error
import urllib.request
from itertools import count
from typing import Any

import asyncpg
import schemathesis
from schemathesis import AuthContext, Case, CheckContext, GenerationMode, HookContext, Response

AUTH = os.environ["AUTH_URL"]
DATABASE = os.environ["AUTH_DATABASE"]
# also the example of the document, so that what asks for it is got through now and then
PASSWORD = "correct horse battery staple"

BY_STATE = {
    "cursor_invalid",  # a cursor is what the service gave
    "idempotency_mismatch",  # the key was used before
    "version_mismatch",  # the post has another version
    "password_wrong",  # it is the account's own
    "credentials_invalid",
    "refresh_token_invalid",
    "session_ended",
    "last_admin",
    "email_taken",
    "not_found",
    "not_the_author",
    "token_missing",  # now and then it leaves the token out, or sends something else
    "authorization_invalid",
}
"""Codes that refuse what the schema allows, because of what is there and not of what was sent."""

BY_RULE = {"email_invalid", "password_common", "password_personal", "password_too_short"}
"""Rules of a field that no JSON Schema can say."""

BY_COUNT = {("q", "value_invalid")}
"""Parameters with a limit that no JSON Schema can say: how many words there are."""

_numbers = count(1)


def _new_address() -> str:
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _call(method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "X-Forwarded-For": _new_address()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(AUTH + path, data, headers, method=method)  # noqa: S310  a service of the test
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def _new_admin() -> str:
    """The access token of a new admin."""
    credentials = {"email": f"admin{next(_numbers)}-{os.getpid()}@example.com", "password": PASSWORD}
    account = _call("POST", "/register", {**credentials, "name": "Grace"})

    async def promote() -> None:
        connection = await asyncpg.connect(DATABASE)
        await connection.execute("UPDATE users SET role = 'admin' WHERE id = $1", account["id"])
        await connection.close()

    asyncio.run(promote())
    token: str = _call("POST", "/login", credentials)["access_token"]
    return token


@schemathesis.auth(refresh_interval=None)
class Admin:
    """An admin who is signed in. Among what is tried are log-out and deletion, so it is made sure of each time."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, _: Case[Any], __: AuthContext) -> str:
        """The token."""
        try:
            if _call("GET", "/me", token=self._token)["role"] == "admin":
                return self._token
        except urllib.error.HTTPError:
            pass
        self._token = _new_admin()
        return self._token

    def set(self, case: Case[Any], data: str, _: AuthContext) -> None:
        """Send it."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Each request comes from another network, so that guessing is not slowed down."""
    case.headers["X-Forwarded-For"] = _new_address()


@schemathesis.check
def valid_data_is_refused_for_a_reason(_: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """What the schema allows is refused by the state of things only, or by a rule that no schema can say.

    The built-in check of this goes by the status; it is told in schemathesis.toml which ones to expect.
    """
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE or response.status_code < 400:
        return None
    problem = response.json()
    if problem["code"] == "parameter_invalid":
        assert {(fault["parameter"], fault["code"]) for fault in problem["errors"]} == BY_COUNT
    elif problem["code"] == "validation_failed":
        refused = {fault["code"] for fault in problem["errors"]}
        assert refused <= BY_RULE, f"refused for {refused - BY_RULE}"
    else:
        assert problem["code"] in BY_STATE, f"refused with {problem['code']}"
    return None
