"""The auth service's settings. Those that every service has come from shared/."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from shared.database.settings import DatabaseSettings
from shared.errors import StartupError
from shared.http.settings import ServiceSettings
from shared.settings import Port
from shared.tokens.keyring import Keyring
from shared.tokens.settings import NAME_FORM, Name, VerifierSettings
from shared.tokens.verifier import Verifier

SINGLE_FACTOR_MIN_LENGTH = 15
"""NIST SP 800-63B-4 section 3.1.1.2: characters of a password that is the only factor; with a second one, 8."""

MIN_RETENTION_DAYS = 30
"""Audit events that are newer can't be deleted."""


def _audiences(text: str) -> str:
    if not all(re.fullmatch(NAME_FORM, name) for name in text.split(",")):
        raise ValueError("it must be a comma-separated list of names without spaces, such as posts,invoices")
    return text


class TokenSettings(VerifierSettings):
    """How to sign and verify tokens."""

    account_keyring_file: Annotated[
        Path | None, Field(description="The key of account tokens: a file with a JWK Set that no other service has")
    ] = None
    account_keyring: Annotated[
        str | None, Field(min_length=1, repr=False, description="The file's content instead, where there are no files")
    ] = None
    jwt_audience: Annotated[Name, Field(description="This service's own name, which must be in aud")] = "auth"
    jwt_audiences: Annotated[
        str,
        AfterValidator(_audiences),
        # with these and the longest name, a token still fits the verifier's limit
        Field(max_length=1000, description="aud of access tokens: every service that accepts them"),
    ] = "posts"
    access_token_seconds: Annotated[int, Field(ge=5, le=86400, description="Lifetime of a token")] = 900

    def keyrings(self) -> tuple[Keyring, Keyring]:
        """Read the shared keys and the account keys.

        Raises:
            StartupError: one of them is missing or unsafe, or they have a key in common.
        """
        if (self.account_keyring_file is None) == (self.account_keyring is None):
            raise StartupError(
                "give the key of account tokens as ACCOUNT_KEYRING_FILE or as ACCOUNT_KEYRING, one of the two; "
                "make one with: python -m auth_service keys new FILE"
            )
        shared = Keyring(file=self.jwt_keyring_file, text=self.jwt_keyring)
        account = Keyring(file=self.account_keyring_file, text=self.account_keyring)
        account.keep_apart(shared)
        return shared, account

    def verifiers(self) -> list[Verifier]:
        """Build a verifier for each keyring that is set: for access tokens, as a resource service, and account tokens.

        Raises:
            StartupError: a keyring is unsafe.
        """
        found = []
        if self.jwt_keyring_file or self.jwt_keyring:
            keyring = Keyring(file=self.jwt_keyring_file, text=self.jwt_keyring)
            audience = self.jwt_audiences.split(",")[0]
            found.append(Verifier(keyring, issuer=self.jwt_issuer, audience=audience, leeway=self.jwt_leeway))
        if self.account_keyring_file or self.account_keyring:
            found.append(self.account_verifier(Keyring(file=self.account_keyring_file, text=self.account_keyring)))
        return found

    def account_verifier(self, keyring: Keyring) -> Verifier:
        """Build the verifier for auth's own routes, which accept account tokens only."""
        return Verifier(
            keyring,
            issuer=self.jwt_issuer,
            audience=self.jwt_audience,
            leeway=self.jwt_leeway,
            accepts="account_token",
            unknown_key_hint="Send the account_token; the access_token is for the other services.",
        )


class Settings(TokenSettings, ServiceSettings, DatabaseSettings):
    """Everything that can be set."""

    port: Annotated[Port, Field(description="Port to listen on")] = 8001
    bcrypt_cost: Annotated[
        int, Field(ge=4, le=16, description="log2 of the rounds of a password hash; below 12 only in tests")
    ] = 12
    session_idle_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="A session ends when it is not refreshed for this long")
    ] = 14 * 86_400
    session_absolute_seconds: Annotated[
        int, Field(ge=60, le=31_536_000, description="Maximum lifetime of a session")
    ] = 90 * 86_400
    refresh_grace_seconds: Annotated[
        int, Field(ge=1, le=600, description="How long a refresh token that was replaced still gives its successor")
    ] = 60
    trusted_proxies: Annotated[
        int, Field(ge=0, le=10, description="Number of your own proxies in front that add to X-Forwarded-For")
    ] = 0
    audit_retention_days: Annotated[
        int | None,
        Field(ge=MIN_RETENTION_DAYS, description="Age in days at which `audit prune` deletes events"),
    ] = None
    allow_short_passwords: Annotated[
        bool, Field(description="Permit a PASSWORD_MIN_LENGTH below 15, although the password is the only factor")
    ] = False
    password_min_length: Annotated[int, Field(ge=8, le=128, description="Minimum length of a password")] = (
        SINGLE_FACTOR_MIN_LENGTH
    )
    breached_passwords_dir: Annotated[
        Path | None, Field(description="Folder with range files of Have I Been Pwned: refuses passwords from leaks")
    ] = None

    @field_validator("password_min_length")
    @classmethod
    def _long_enough_alone(cls, value: int, info: ValidationInfo) -> int:
        if value < SINGLE_FACTOR_MIN_LENGTH and not info.data.get("allow_short_passwords", False):
            raise ValueError(
                f"it must be at least {SINGLE_FACTOR_MIN_LENGTH} while the password is the only factor; "
                "to permit shorter ones all the same, set ALLOW_SHORT_PASSWORDS=true"
            )
        return value
