"""Operator commands for accounts, on the service's own database.

A password is prompted for or read from standard input, because everyone on the machine can read a command line.
"""

import asyncio
import getpass
import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from auth_service.accounts import Accounts
from auth_service.app import create_accounts, create_database, create_hasher
from auth_service.model import User
from auth_service.settings import Settings
from auth_service.store.audit import AuditStore
from shared import logs
from shared.database.pool import Database
from shared.errors import DomainError, StartupError

PAGE = 100

PRUNE_BATCH = 50_000
"""Events that are deleted at once; nobody can sign in meanwhile."""

Command = Callable[[Namespace, Accounts, Database], Awaitable[None]]


def runs(command: Command, *, asks_password: bool = False) -> Callable[[Namespace], None]:
    """Make a command runnable: connect to the database, and turn a DomainError into a StartupError.

    Args:
        command: The command.
        asks_password: Whether to ask for a password first; the command finds it in `arguments.password`.
    """

    async def connected(arguments: Namespace) -> None:
        async with _accounts(arguments.wait) as (accounts, database):
            await command(arguments, accounts, database)

    def run(arguments: Namespace) -> None:
        if asks_password:
            arguments.password = _password()
        try:
            asyncio.run(connected(arguments))
        except DomainError as error:
            raise StartupError(error.detail) from None

    return run


async def create(arguments: Namespace, accounts: Accounts, _: Database) -> None:
    """Open an account with a role; this is how the first admin gets in."""
    user = await accounts.create(arguments.email, arguments.password, arguments.name, arguments.role)
    print(f"created {_line(user)}")


async def show(_: Namespace, accounts: Accounts, __: Database) -> None:
    """Print every account."""
    cursor = None
    while True:
        users, cursor = await accounts.page(cursor, PAGE)
        for user in users:
            print(_line(user))
        if cursor is None:
            return


async def change(arguments: Namespace, accounts: Accounts, _: Database) -> None:
    """Disable or enable an account, or change its role."""
    user = await accounts.find(arguments.email)
    role = getattr(arguments, "role", None)
    print(_line(await accounts.change(user.id, None, None, role=role, disabled=arguments.disabled)))


async def set_password(arguments: Namespace, accounts: Accounts, _: Database) -> None:
    """Set a password, and end all sessions."""
    user = await accounts.find(arguments.email)
    await accounts.set_password(user, arguments.password)
    print(f"{user.email} has a new password; all sessions were ended")


async def audit(arguments: Namespace, accounts: Accounts, database: Database) -> None:
    """Print the newest events, or those of one account."""
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


async def prune(arguments: Namespace, _: Accounts, database: Database) -> None:
    """Delete old events, and say how many."""
    days = arguments.older_than or Settings.from_environ(os.environ).audit_retention_days
    if days is None:
        raise StartupError("events are kept for ever; use --older-than DAYS, or set AUDIT_RETENTION_DAYS")
    total = 0
    while removed := await AuditStore(database).prune(days, PRUNE_BATCH):
        total += removed
    if removed is None:
        raise StartupError("this database role doesn't own the events; use the role that runs `migrate`")
    print(f"deleted {total} events older than {days} days")


async def _id_of(account: str, accounts: Accounts) -> UUID:
    try:
        return UUID(account)  # a deleted account still has events, but no address
    except ValueError:
        return (await accounts.find(account)).id


@asynccontextmanager
async def _accounts(wait: float) -> AsyncIterator[tuple[Accounts, Database]]:
    settings = Settings.from_environ(os.environ)
    logs.configure("text", "auth")
    database = create_database(settings)
    hasher = create_hasher(settings)
    try:
        async with database.opened(wait):
            yield create_accounts(settings, database, hasher), database
    finally:
        hasher.close()


def _password() -> str:
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise StartupError("the password on standard input is not UTF-8; nothing was done") from None
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Repeat the password: ")
    except EOFError:
        raise StartupError("no password was given; nothing was done") from None
    if again != password:
        raise StartupError("the passwords differ; nothing was done")
    return password


def _line(user: User) -> str:
    state = f"disabled {user.disabled_at:%Y-%m-%d}" if user.disabled_at else "enabled"
    return f"{user.id}  {user.role:9}  {state:19}  {user.email}  {user.name}"
