"""What an operator does with accounts from the command line, on the service's own database.

A password comes from a prompt or from standard input: a command line can be read by everyone on the machine.
"""

import asyncio
import getpass
import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from uuid import UUID

from auth_service.accounts import Accounts
from auth_service.app import create_accounts, create_database, create_hasher
from auth_service.model import User
from auth_service.settings import Settings
from auth_service.store.audit import AuditStore
from shared import logs
from shared.database import Database
from shared.errors import Problem, StartupError

PAGE = 100


def create(arguments: Namespace) -> None:
    """Open an account with a role; this is the first admin's way in."""
    password = _password()
    _run(_create(arguments, password))


def show(arguments: Namespace) -> None:
    """Print every account."""
    _run(_show(arguments))


def change(arguments: Namespace) -> None:
    """Disable, enable, or give another role, as `arguments` says."""
    _run(_change(arguments))


def set_password(arguments: Namespace) -> None:
    """Set a password, and end all sessions."""
    password = _password()
    _run(_set_password(arguments, password))


def audit(arguments: Namespace) -> None:
    """Print the newest events, of one account if one is named."""
    _run(_audit(arguments))


async def _create(arguments: Namespace, password: str) -> None:
    async with _accounts() as (accounts, _):
        user = await accounts.create(arguments.email, password, arguments.name, arguments.role)
        print(f"created {_line(user)}")


async def _show(_: Namespace) -> None:
    async with _accounts() as (accounts, _database):
        before = None
        while page := await accounts.page(before, PAGE):
            print("\n".join(_line(user) for user in page))
            before = page[-1].created_at, page[-1].id


async def _change(arguments: Namespace) -> None:
    async with _accounts() as (accounts, _):
        user = await accounts.find(arguments.email)
        role = getattr(arguments, "role", None)
        print(_line(await accounts.change(user.id, None, None, role=role, disabled=arguments.disabled)))


async def _set_password(arguments: Namespace, password: str) -> None:
    async with _accounts() as (accounts, _):
        user = await accounts.find(arguments.email)
        await accounts.set_password(user, password)
        print(f"{user.email} has a new password; all sessions were ended")


async def _audit(arguments: Namespace) -> None:
    async with _accounts() as (accounts, database):
        user_id = await _id_of(arguments.account, accounts) if arguments.account else None
        for recorded in await AuditStore(database).newest(arguments.limit, user_id):
            event = recorded.event
            parts = {
                "user": event.user_id,
                "by": event.actor_id,
                "session": event.session_id,
                "from": event.address,
                "detail": event.detail,
            }
            said = " ".join(f"{name}={value}" for name, value in parts.items() if value is not None)
            print(f"{recorded.at:%Y-%m-%dT%H:%M:%SZ} {event.name} {said}")


async def _id_of(account: str, accounts: Accounts) -> UUID:
    try:
        return UUID(account)  # no address is one. The events of an account outlive it, its address does not
    except ValueError:
        return (await accounts.find(account)).id


@asynccontextmanager
async def _accounts() -> AsyncIterator[tuple[Accounts, Database]]:
    settings = Settings.from_environ(os.environ)
    logs.configure("text", "auth")
    database = create_database(settings)
    hasher = create_hasher(settings)
    await database.open()
    try:
        yield create_accounts(settings, database, hasher), database
    finally:
        hasher.close()
        await database.close()


def _run(command: Coroutine[None, None, None]) -> None:
    try:
        asyncio.run(command)
    except Problem as problem:
        raise StartupError(problem.detail) from None


def _password() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise StartupError("the password on standard input is not UTF-8; nothing was done") from None
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise StartupError("no password was given; nothing was done") from None
    if again != password:
        raise StartupError("the two differ; nothing was done")
    return password


def _line(user: User) -> str:
    state = f"disabled {user.disabled_at:%Y-%m-%d}" if user.disabled_at else "enabled"
    return f"{user.id}  {user.role:9}  {state:19}  {user.email}  {user.name}"
