"""Hooks for Schemathesis: how to sign in, which address to send from, and when valid data may be refused."""

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
ACCEPTS = os.environ["ACCEPTS"]
"""The token that the service under test accepts, as the answer to a log-in names it."""
# the same as in the documents' examples, so that requests that need the password sometimes succeed
PASSWORD = "ferns whistle behind nine teapots"

BY_STATE = {
    "cursor_invalid",  # only the service can issue cursors
    "idempotency_mismatch",  # the key was used for another post
    "version_mismatch",  # the post has another version
    "password_wrong",  # only the account's own password is right
    "credentials_invalid",
    "refresh_token_invalid",
    "session_ended",
    "last_admin",
    "email_taken",
    "not_found",
    "not_the_author",
    "token_missing",  # Schemathesis sometimes omits or replaces the token
    "authorization_invalid",
}
"""Codes for requests that the schema allows but the current state doesn't."""

BY_RULE = {"email_invalid", "password_common", "password_guessable", "password_personal", "password_too_short"}
"""Rules for fields that JSON Schema can't express."""

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


def _new_admin() -> dict[str, str]:
    """Register an admin, and return the answer to a log-in."""
    credentials = {"email": f"admin{next(_numbers)}-{os.getpid()}@example.com", "password": PASSWORD}
    account = _call("POST", "/register", {**credentials, "name": "Grace"})

    async def promote() -> None:
        connection = await asyncpg.connect(DATABASE)
        await connection.execute("UPDATE users SET role = 'admin' WHERE id = $1", account["id"])
        await connection.close()

    asyncio.run(promote())
    return _call("POST", "/login", credentials)


@schemathesis.auth(refresh_interval=None)
class Admin:
    """The token of an admin, replaced when needed: Schemathesis also tries to log out and to delete accounts."""

    def __init__(self) -> None:
        self._tokens = {"account_token": "", ACCEPTS: ""}

    def get(self, _: Case[Any], __: AuthContext) -> str:
        """Return a token that works."""
        try:
            if _call("GET", "/me", token=self._tokens["account_token"])["role"] == "admin":
                return self._tokens[ACCEPTS]
        except urllib.error.HTTPError:
            pass
        self._tokens = _new_admin()
        return self._tokens[ACCEPTS]

    def set(self, case: Case[Any], data: str, _: AuthContext) -> None:
        """Add the token to a request."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Send each request from another network, so that failed log-ins don't delay others."""
    case.headers["X-Forwarded-For"] = _new_address()


@schemathesis.check
def valid_data_is_refused_for_a_reason(_: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Valid data is refused only because of the current state, or by a rule that a schema can't express.

    The built-in check for this knows only statuses; schemathesis.toml lists those to expect.
    """
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE or response.status_code < 400:
        return None
    problem = response.json()
    if problem["code"] == "parameter_invalid":
        assert {(fault["parameter"], fault["code"]) for fault in problem["errors"]} == BY_COUNT
    elif problem["code"] == "validation_failed":
        refused = {fault["code"] for fault in problem["errors"]}
        assert refused <= BY_RULE, f"valid data was refused for {refused - BY_RULE}"
    else:
        assert problem["code"] in BY_STATE, f"valid data was refused with {problem['code']}"
    return None
