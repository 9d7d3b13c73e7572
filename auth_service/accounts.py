"""The rules of accounts: who may register, when a password is right, and who may change what."""

import logging
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from email_validator import EmailNotValidError, validate_email

from auth_service.errors import AdminOnly, CredentialsInvalid, EmailTaken, LastAdmin, PasswordWrong, SessionEnded
from auth_service.model import Client, Event, NewUser, Role, User
from auth_service.new_passwords import NewPasswords
from auth_service.password_rules import normalized
from auth_service.passwords import PasswordHasher
from auth_service.refresh_tokens import RefreshToken
from auth_service.store.accounts import AccountStore, LockedUser
from auth_service.store.audit import AuditStore
from auth_service.throttle import Attempt, Throttle
from shared import cursor
from shared.errors import Fault, NotFound, ValidationFailed
from shared.text_validation import fault_in_line, fault_in_name
from shared.tokens.claims import MAX_NAME

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_BYTES = 8
_ID_BYTES = 16

_log = logging.getLogger(__name__)


class Accounts:
    """Everything that can be done with accounts.

    Args:
        store: The accounts.
        audit: Records failures; a change is recorded together with the change itself.
        hasher: Makes and checks password hashes.
        throttle: Decides who may try a password now.
        new_passwords: Decides which new passwords are accepted.
    """

    def __init__(
        self,
        store: AccountStore,
        audit: AuditStore,
        hasher: PasswordHasher,
        throttle: Throttle,
        new_passwords: NewPasswords,
    ) -> None:
        self._store = store
        self._audit = audit
        self._hasher = hasher
        self._throttle = throttle
        self._new_passwords = new_passwords

    async def register(self, email: str, password: str, name: str, client: Client) -> User:
        """Open an account.

        Raises:
            ValidationFailed: the address is invalid, or the password was rejected.
            TooManyAttempts: there were too many registrations from this network.
            EmailTaken: there is already an account with that address, in any case.
            Busy: too many passwords are waiting to be hashed.
        """
        address, secret = self._checked(email, password, name)
        async with self._throttle.registration(client):
            # after counting, because it costs as much as a hash
            await self._new_passwords.check(secret, email=address, name=name, pointer="/password")
            password_hash = await self._hasher.hash(secret)
            user_id = uuid4()
            event = Event("registered", user_id, user_id, address=client.address)
            return await self._add(NewUser(user_id, address, email_key(address), name, password_hash, "user"), event)

    async def create(self, email: str, password: str, name: str, role: Role) -> User:
        """Open an account with a role, on the operator's behalf.

        Raises:
            ValidationFailed, EmailTaken: as for `register`.
        """
        address, secret = self._checked(email, password, name)
        await self._new_passwords.check(secret, email=address, name=name, pointer="/password")
        password_hash = await self._hasher.hash(secret)
        user_id = uuid4()
        event = Event("created", user_id, detail=f"role {role}")
        return await self._add(NewUser(user_id, address, email_key(address), name, password_hash, role), event)

    async def authenticate(self, email: str, password: str, client: Client) -> tuple[User, str]:
        """Return the user with this address and password, and the hash that the password matches.

        An unknown address, a wrong password and a disabled account take the same time and get the same answer. An
        outdated hash is replaced.

        Raises:
            TooManyAttempts: too many attempts failed; no hash was computed.
            CredentialsInvalid: no user who may sign in has this address and password.
            Busy: too many passwords are waiting to be checked.
        """
        key, secret = _login_key(email), normalized(password)
        async with self._throttle.password(key, client) as attempt:
            user, password_hash = await self._store.find(key) or (None, None)
            right, outdated = await self._hasher.verify(secret, password_hash)
            if user is None or password_hash is None or not right or user.disabled_at is not None:
                user_id = None if user is None else user.id
                await self._audit.add(Event("login_failed", user_id, address=client.address))
                raise credentials_invalid()
            await self._throttle.succeeded(attempt, user.id)
            if not outdated:
                return user, password_hash
            new_hash = await self._hasher.hash(secret)
            if await self._store.replace_hash(user.id, password_hash, new_hash):
                return user, new_hash
        # another log-in replaced the hash first, or the password was changed: check against the hash that is there now
        return await self.authenticate(email, password, client)

    async def rename(self, user: User, name: str) -> User:
        """Change the signed-in user's name. Existing posts keep the old name.

        Raises:
            NotFound: the account has been deleted.
        """
        return _found(await self._store.rename(user.id, name))

    async def change_password(
        self, user: User, session_id: UUID, *, current: str, new: str, client: Client
    ) -> tuple[User, UUID, RefreshToken]:
        """Set a new password, and end all other sessions.

        Returns:
            The user as of now, and a new id and refresh token for this session.

        Raises:
            ValidationFailed: the new password was rejected.
            PasswordWrong: the current password is wrong, or has just been changed.
            SessionEnded: the session has ended.
            TooManyAttempts: too many attempts failed; no hash was computed.
            Busy: too many passwords are waiting to be hashed.
        """
        secret = self._accepted(new, user, "/new_password")
        async with self._throttle.password(email_key(user.email), client) as attempt:
            old_hash = await self._check_own(user, current, client, attempt)
            await self._new_passwords.check(secret, email=user.email, name=user.name, pointer="/new_password")
            new_hash = await self._hasher.hash(secret)
        event = Event("password_changed", user.id, user.id, session_id=session_id, address=client.address)
        new_id, token = uuid4(), RefreshToken.new()
        changed = await self._store.change_password(
            user.id, old_hash, new_hash, event, keep=session_id, new_id=new_id, token=token
        )
        match changed:
            case "outdated":
                raise PasswordWrong("The password has just been changed by another request")
            case "session_ended":
                raise SessionEnded("The session of this token has ended", hint="Sign in again.")
            case _:
                return changed, new_id, token

    async def prove(self, user: User, password: str, client: Client) -> str:
        """Check the signed-in user's password, and return the hash that it matches.

        Raises:
            PasswordWrong: it is wrong.
            TooManyAttempts: too many attempts failed; no hash was computed.
            Busy: too many passwords are waiting to be checked.
        """
        async with self._throttle.password(email_key(user.email), client) as attempt:
            return await self._check_own(user, password, client, attempt)

    async def set_password(self, user: User, password: str) -> None:
        """Set a password on the operator's behalf, end all sessions, and open the account if guessing has closed it.

        Networks where someone signed in with an earlier password aren't known anymore.

        Raises:
            ValidationFailed: the password was rejected.
        """
        secret = self._accepted(password, user, "/password")
        await self._new_passwords.check(secret, email=user.email, name=user.name, pointer="/password")
        new_hash = await self._hasher.hash(secret)
        await self._store.change_password(user.id, None, new_hash, Event("password_set", user.id))
        await self._throttle.reopen(email_key(user.email))

    async def delete(self, user: User, password: str, client: Client) -> None:
        """Delete the signed-in user's account and sessions. Posts stay, because they belong to another service.

        Raises:
            PasswordWrong: the password is wrong.
            TooManyAttempts: too many attempts failed; no hash was computed.
            LastAdmin: this is the last admin.
            Busy: too many passwords are waiting to be checked.
        """
        password_hash = await self.prove(user, password, client)
        event = Event("deleted", user.id, user.id, address=client.address)
        async with self._store.locked_with_admins(user.id) as locked:
            _keep_an_admin(locked, user.id)
            if not await locked.remove(user.id, password_hash, event):
                raise PasswordWrong("The account has just been changed by another request")

    async def page(self, after: str | None, limit: int) -> tuple[Sequence[User], str | None]:
        """Return a page of users, newest first, and the cursor of the next page if there is one.

        Raises:
            CursorInvalid: `after` was not issued for this list.
        """
        found = await self._store.page(None if after is None else _position(after), limit + 1)
        items = found[:limit]
        return items, _cursor(items[-1]) if len(found) > limit else None

    async def get(self, user_id: UUID) -> User:
        """Return a user.

        Raises:
            NotFound: there is no such user.
        """
        found = await self._store.get(user_id)
        return _found(found and found[0])

    async def find(self, email: str) -> User:
        """Return the user with this address.

        Raises:
            NotFound: there is no such user.
        """
        # an operator's command line may contain bytes that are not text
        found = None if fault_in_line(email) else await self._store.find(_login_key(email))
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
        """Change what an admin may change about a user. None leaves a value alone, and no-op changes are ignored.

        At auth, losing a role takes effect at once. A new role takes effect with the next token, as both do at other
        services: a token can do what it was signed for. Disabling ends all sessions.

        Args:
            user_id: The user.
            actor: The admin who makes the change; None for the operator.
            client: Where the admin is.
            role: The new role.
            disabled: True to disable, False to enable.

        Raises:
            NotFound: there is no such user.
            AdminOnly: the actor is no longer an admin.
            LastAdmin: this would leave no admin.
        """
        by, address = (None if actor is None else actor.id), (None if client is None else client.address)
        async with self._store.locked_with_admins(user_id) as locked:
            if by is not None and by not in locked.active_admins:
                raise AdminOnly("Your account is no longer an admin")
            user, events = _found(locked.user), []
            if role not in (None, user.role):
                events.append(Event("role_changed", user_id, by, address=address, detail=role))
            if disabled not in (None, user.disabled_at is not None):
                events.append(Event("disabled" if disabled else "enabled", user_id, by, address=address))
            if not events:
                return user
            if disabled or role not in (None, "admin"):
                _keep_an_admin(locked, user_id)
            return await locked.change(user_id, role, disabled, events)

    async def renew_keys(self) -> None:
        """Store the present `email_key` of accounts that were opened when it was another one.

        Only addresses with letters outside ASCII can be affected. Their users couldn't sign in before this.
        """
        for user_id, email, stored in await self._store.beyond_ascii():
            if stored != email_key(email) and not await self._store.replace_key(user_id, email_key(email)):
                _log.warning("the account %s keeps its old key: another account has its address", user_id)

    async def _add(self, new: NewUser, event: Event) -> User:
        user = await self._store.add(new, event)
        if user is None:
            raise EmailTaken("An account with this address already exists", hint="Sign in instead.")
        await self._throttle.reopen(new.email_key)  # earlier guesses were at nothing
        return user

    async def _check_own(self, user: User, password: str, client: Client, attempt: Attempt) -> str:
        """Check the signed-in user's own password, and return the hash that it matches."""
        found = await self._store.get(user.id)
        password_hash = found and found[1]
        right, _ = await self._hasher.verify(normalized(password), password_hash)
        if password_hash is None or not right:
            await self._audit.add(Event("password_check_failed", user.id, user.id, address=client.address))
            raise PasswordWrong("The password is wrong")
        await self._throttle.succeeded(attempt, user.id)
        return password_hash

    def _checked(self, email: str, password: str, name: str) -> tuple[str, str]:
        """Return the address and the password as they are stored."""
        faults = []
        address = email
        try:
            # whether mail arrives there isn't checked, because that needs the network
            address = validate_email(email, check_deliverability=False).normalized
        except EmailNotValidError as error:
            faults.append(Fault("/email", "email_invalid", str(error)))
        secret = normalized(password)
        # requests were checked against the schema, but an operator's input was not
        if fault := fault_in_name(name):
            faults.append(Fault("/name", "text_refused", f"it {fault}; remove that character"))
        elif not name.strip() or len(name) > MAX_NAME:
            faults.append(Fault("/name", "text_refused", f"it must be 1 to {MAX_NAME} characters on one line"))
        faults.extend(self._new_passwords.faults(secret, email=address, name=name, pointer="/password"))
        if faults:
            raise ValidationFailed.of(faults)
        return address, secret

    def _accepted(self, password: str, user: User, pointer: str) -> str:
        """Return a user's new password as it is hashed."""
        secret = normalized(password)
        if faults := self._new_passwords.faults(secret, email=user.email, name=user.name, pointer=pointer):
            raise ValidationFailed.of(faults)
        return secret


def email_key(address: str) -> str:
    """Return the form in which two spellings of one address are equal: NFC, lowercase; the domain as IDNA has it.

    RFC 5321 section 2.4 lets a mail server tell apart any two spellings of the local part, and none in use tells case
    apart. Case folding would go further: it makes ß and ss equal, or ﬁ and fi, which are different mailboxes.
    """
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    return unicodedata.normalize("NFC", local.lower()) + at + domain.lower()


def credentials_invalid() -> CredentialsInvalid:
    """Return the one error for every log-in that is refused."""
    return CredentialsInvalid("The address or the password is wrong, or the account is disabled")


def _keep_an_admin(locked: LockedUser, user_id: UUID) -> None:
    if list(locked.active_admins) == [user_id]:
        raise LastAdmin("This is the last admin", hint="Make another user an admin first.")


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no such user")
    return user


def _login_key(email: str) -> str:
    """Return the email_key to look up. An invalid address gets one too, but no account has it."""
    try:
        return email_key(validate_email(email, check_deliverability=False).normalized)
    except EmailNotValidError:
        return email_key(email)


def _cursor(user: User) -> str:
    return cursor.write(((user.created_at - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES) + user.id.bytes)


def _position(text: str) -> tuple[datetime, UUID]:
    position = cursor.read(text, _TIME_BYTES + _ID_BYTES)
    try:
        return _EPOCH + int.from_bytes(position[:_TIME_BYTES]) * _MICROSECOND, UUID(bytes=position[_TIME_BYTES:])
    except OverflowError:
        raise cursor.CursorInvalid("The cursor was not issued for this list") from None
