"""The rules of accounts: who may register, and when a password is right."""

import unicodedata
from uuid import uuid4

from email_validator import EmailNotValidError, validate_email

from auth_service.errors import CredentialsInvalid
from auth_service.model import User
from auth_service.passwords import PasswordHasher
from auth_service.store.accounts import AccountStore
from shared.errors import Fault, ValidationFailed


class Accounts:
    """What one can do with accounts.

    Args:
        store: Where they are kept.
        hasher: Makes and checks password hashes.
        password_min_length: Fewest characters of a new password.
    """

    def __init__(self, store: AccountStore, hasher: PasswordHasher, *, password_min_length: int) -> None:
        self._store = store
        self._hasher = hasher
        self._password_min_length = password_min_length

    async def register(self, email: str, password: str, name: str) -> User:
        """Open an account.

        Raises:
            ValidationFailed: the address is none, or the password is too short.
            EmailTaken: there is an account with that address, in whatever case.
            Busy: too many passwords are waiting to be hashed.
        """
        faults = []
        address = ""
        try:
            # whether mail arrives there is not asked: that would need the network
            address = validate_email(email, check_deliverability=False).normalized
        except EmailNotValidError as error:
            faults.append(Fault("/email", "email_invalid", str(error)))
        secret = _normalised(password)
        if len(secret) < self._password_min_length:
            faults.append(
                Fault(
                    "/password",
                    "password_too_short",
                    f"it needs at least {self._password_min_length} characters; {len(secret)} were sent",
                )
            )
        if faults:
            raise ValidationFailed.of(faults)
        password_hash = await self._hasher.hash(secret)
        return await self._store.add(uuid4(), address, email_key(address), name, password_hash)

    async def authenticate(self, email: str, password: str) -> User:
        """Return the user whom address and password belong to.

        An unknown address, a wrong password and a disabled account cost the same and get the same answer. A hash of an
        old kind is replaced on the way.

        Raises:
            CredentialsInvalid: they belong to nobody who may sign in.
            Busy: too many passwords are waiting to be checked.
        """
        found = await self._store.find(_key_of_login(email))
        user, password_hash = found or (None, None)
        secret = _normalised(password)
        right, new_hash = await self._hasher.verify(secret, password_hash)
        if user is None or password_hash is None or not right or user.disabled_at is not None:
            raise refused()
        if new_hash is not None:
            await self._store.replace_hash(user.id, password_hash, new_hash)
        return user


def email_key(address: str) -> str:
    """What makes two spellings the same account: NFC, without case; the domain only in lower case, as IDNA has it."""
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    return unicodedata.normalize("NFC", local.casefold()) + at + domain.lower()


def refused() -> CredentialsInvalid:
    """The one answer to whoever can't be signed in."""
    return CredentialsInvalid("The address or the password is wrong, or the account is disabled")


def _key_of_login(email: str) -> str:
    """The key to look for; an address that could not be registered has one too, which nobody has."""
    try:
        return email_key(validate_email(email, check_deliverability=False).normalized)
    except EmailNotValidError:
        return email_key(email)


def _normalised(password: str) -> str:
    """NFC, so that a password is the same from every keyboard (NIST SP 800-63B-4 section 3.1.1.2)."""
    return unicodedata.normalize("NFC", password)
