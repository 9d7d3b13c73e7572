"""The rules of accounts: who may register, when a password is right, and what may be changed by whom."""

import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID, uuid4

from email_validator import EmailNotValidError, validate_email

from auth_service import password_rules
from auth_service.errors import CredentialsInvalid, PasswordWrong
from auth_service.model import Client, Event, Role, User
from auth_service.password_rules import normalised
from auth_service.passwords import PasswordHasher
from auth_service.store.accounts import AccountStore
from auth_service.store.audit import AuditStore
from auth_service.throttle import Throttle, Try
from shared.errors import Fault, NotFound, ValidationFailed
from shared.text import fault_in_line, fault_in_prose
from shared.tokens import MAX_NAME


class Accounts:
    """What one can do with accounts.

    Args:
        store: Where they are kept.
        audit: Where failures are recorded; what changes an account is recorded with the change.
        hasher: Makes and checks password hashes.
        throttle: Says who may try a password now.
        password_min_length: Fewest characters of a new password.
    """

    def __init__(
        self,
        store: AccountStore,
        audit: AuditStore,
        hasher: PasswordHasher,
        throttle: Throttle,
        *,
        password_min_length: int,
    ) -> None:
        self._store = store
        self._audit = audit
        self._hasher = hasher
        self._throttle = throttle
        self._password_min_length = password_min_length

    async def register(self, email: str, password: str, name: str, client: Client) -> User:
        """Open an account.

        Raises:
            ValidationFailed: the address is none, or the password is not taken.
            TooManyAttempts: too many registrations from this network.
            EmailTaken: there is an account with that address, in whatever case.
            Busy: too many passwords are waiting to be hashed.
        """
        address, secret = self._checked(email, password, name)
        user_id = uuid4()
        event = Event("registered", user_id, user_id, address=client.address)
        with self._hasher.place():
            await self._throttle.may_register(client)
            async with self._hasher.turn():
                await self._throttle.try_registration(client)
                password_hash = await self._hasher.hash(secret)
                return await self._store.add(
                    user_id,
                    email=address,
                    email_key=email_key(address),
                    name=name,
                    password_hash=password_hash,
                    role="user",
                    event=event,
                )

    async def create(self, email: str, password: str, name: str, role: Role) -> User:
        """Open an account on the operator's behalf, with a role.

        Raises:
            ValidationFailed, EmailTaken: as `register`.
        """
        address, secret = self._checked(email, password, name)
        user_id = uuid4()
        event = Event("created", user_id, detail=f"role {role}")
        with self._hasher.place():
            password_hash = await self._hasher.hash(secret)
        return await self._store.add(
            user_id,
            email=address,
            email_key=email_key(address),
            name=name,
            password_hash=password_hash,
            role=role,
            event=event,
        )

    async def authenticate(self, email: str, password: str, client: Client) -> tuple[User, str]:
        """Return the user whom address and password belong to, and the hash that the password fits.

        An unknown address, a wrong password and a disabled account cost the same and get the same answer. A hash of an
        old kind is replaced on the way.

        Raises:
            TooManyAttempts: too many failed; no hash was computed.
            CredentialsInvalid: they belong to nobody who may sign in.
            Busy: too many passwords are waiting to be checked.
        """
        key, secret = _key_of_login(email), normalised(password)
        async with self._try(key, client) as tried:
            user, password_hash = await self._store.find(key) or (None, None)
            right, outdated = await self._hasher.verify(secret, password_hash)
            if user is None or password_hash is None or not right or user.disabled_at is not None:
                user_id = None if user is None else user.id
                await self._audit.add(Event("login_failed", user_id, address=client.address))
                raise refused()
            await self._throttle.succeeded(tried)
            if not outdated:
                return user, password_hash
            new_hash = await self._hasher.hash(secret)
            if await self._store.replace_hash(user.id, password_hash, new_hash):
                return user, new_hash
        # another log-in was first, or the password was changed: what counts is the hash that is there now
        return await self.authenticate(email, password, client)

    async def rename(self, user: User, name: str) -> User:
        """Give the signed-in user another name. Posts keep the name they were written under.

        Raises:
            NotFound: the account is gone by now.
        """
        return _found(await self._store.rename(user.id, name))

    async def change_password(self, user: User, session_id: UUID, current: str, new: str, client: Client) -> None:
        """Set a new password and end all other sessions.

        Raises:
            ValidationFailed: the new one is not taken.
            PasswordWrong: the current one is wrong, or was changed meanwhile.
            TooManyAttempts: too many failed; no hash was computed.
            Busy: too many passwords are waiting to be hashed.
        """
        secret = normalised(new)
        faults = list(self._faults(secret, user.email, user.name, "/new_password"))
        if faults:
            raise ValidationFailed.of(faults)
        async with self._try(email_key(user.email), client) as tried:
            old_hash = await self._check_own(user, current, client, tried)
            new_hash = await self._hasher.hash(secret)
        event = Event("password_changed", user.id, user.id, session_id=session_id, address=client.address)
        if not await self._store.change_password(user.id, old_hash, new_hash, session_id, event):
            raise PasswordWrong("The password was changed meanwhile")

    async def set_password(self, user: User, password: str) -> None:
        """Set a password on the operator's behalf, and end all sessions.

        Raises:
            ValidationFailed: it is not taken.
        """
        secret = normalised(password)
        faults = list(self._faults(secret, user.email, user.name, "/password"))
        if faults:
            raise ValidationFailed.of(faults)
        with self._hasher.place():
            new_hash = await self._hasher.hash(secret)
        await self._store.change_password(user.id, None, new_hash, None, Event("password_set", user.id))

    async def delete(self, user: User, password: str, client: Client) -> None:
        """Delete the signed-in user's account, and all sessions with it. Posts stay; they belong to another service.

        Raises:
            PasswordWrong: the password is wrong.
            TooManyAttempts: too many failed; no hash was computed.
            LastAdmin: nobody would be left who can administer.
            Busy: too many passwords are waiting to be checked.
        """
        async with self._try(email_key(user.email), client) as tried:
            password_hash = await self._check_own(user, password, client, tried)
        event = Event("deleted", user.id, user.id, address=client.address)
        if not await self._store.remove(user.id, password_hash, event):
            raise PasswordWrong("The account was changed meanwhile")

    async def page(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[User]:
        """Return up to `limit` users, those who registered last first."""
        return await self._store.page(before, limit)

    async def get(self, user_id: UUID) -> User:
        """Return a user.

        Raises:
            NotFound: there is none with this id.
        """
        found = await self._store.get(user_id)
        return _found(found and found[0])

    async def find(self, email: str) -> User:
        """Return the user with this address.

        Raises:
            NotFound: there is none.
        """
        # an operator's command line may hold bytes that are no text
        found = None if fault_in_line(email) else await self._store.find(_key_of_login(email))
        return _found(found and found[0])

    async def change(
        self,
        user_id: UUID,
        actor: User | None,
        client: Client | None,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
    ) -> User:
        """Change what an admin may change of a user, and leave what is None. What is so already is no change.

        A role that is taken away counts at auth at once. One that is given counts with the next token, as either does
        elsewhere: what the present token is signed for is all that it can do. Disabling ends all sessions.

        Args:
            user_id: Whom.
            actor: Which admin does it; None for the operator.
            client: From where.
            role: The new role.
            disabled: True to disable, False to enable.

        Raises:
            NotFound: there is none with this id.
            AdminOnly: the actor is no admin any more.
            LastAdmin: nobody would be left who can administer.
        """
        by, address = (None if actor is None else actor.id), (None if client is None else client.address)
        return _found(await self._store.change(user_id, by, role, disabled, address))

    @asynccontextmanager
    async def _try(self, key: str, client: Client) -> AsyncIterator[Try]:
        """Have a turn at trying a password, which is counted as failed.

        It is not counted while it waits for its turn: who gives up in the queue has not failed, and a burst of right
        passwords from one network does not look like guesses.

        Raises:
            TooManyAttempts, Busy: not now. Both are said at once, and nothing was counted.
        """
        with self._hasher.place():
            await self._throttle.may_try(key, client)
            async with self._hasher.turn():
                yield await self._throttle.try_password(key, client)

    async def _check_own(self, user: User, password: str, client: Client, tried: Try) -> str:
        """Check the signed-in user's own password, and return the hash that it fits."""
        found = await self._store.get(user.id)
        password_hash = found and found[1]
        right, _ = await self._hasher.verify(normalised(password), password_hash)
        if password_hash is None or not right:
            await self._audit.add(Event("password_check_failed", user.id, user.id, address=client.address))
            raise PasswordWrong("That is not your password")
        await self._throttle.succeeded(tried)
        return password_hash

    def _checked(self, email: str, password: str, name: str) -> tuple[str, str]:
        """Return the address and the password in the form in which they are kept."""
        faults = []
        address = email
        try:
            # whether mail arrives there is not asked: that would need the network
            address = validate_email(email, check_deliverability=False).normalized
        except EmailNotValidError as error:
            faults.append(Fault("/email", "email_invalid", str(error)))
        secret = normalised(password)
        if not 1 <= len(name) <= MAX_NAME or fault_in_line(name) or not name.strip():
            # a request was checked before; what an operator types comes here as it is
            faults.append(Fault("/name", "text_refused", f"it must be 1 to {MAX_NAME} characters on one line"))
        faults.extend(self._faults(secret, address, name, "/password"))
        if faults:
            raise ValidationFailed.of(faults)
        return address, secret

    def _faults(self, secret: str, email: str, name: str, pointer: str) -> Sequence[Fault]:
        if fault := fault_in_prose(secret):  # likewise; nobody could send it at a log-in
            return [Fault(pointer, "text_refused", f"it {fault}; leave that character out")]
        minimum = self._password_min_length
        return list(password_rules.faults(secret, min_length=minimum, email=email, name=name, pointer=pointer))


def email_key(address: str) -> str:
    """What makes two spellings the same account: NFC, without case; the domain only in lower case, as IDNA has it."""
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    return unicodedata.normalize("NFC", local.casefold()) + at + domain.lower()


def refused() -> CredentialsInvalid:
    """The one answer to whoever can't be signed in."""
    return CredentialsInvalid("The address or the password is wrong, or the account is disabled")


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no such user")
    return user


def _key_of_login(email: str) -> str:
    """The key to look for; an address that could not be registered has one too, which nobody has."""
    try:
        return email_key(validate_email(email, check_deliverability=False).normalized)
    except EmailNotValidError:
        return email_key(email)
