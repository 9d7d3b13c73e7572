"""The auth service's own errors; shared/errors.py has the rest."""

from shared.errors import DomainError, Kind


class CredentialsInvalid(DomainError):
    """Unknown address, wrong password or disabled account: one answer, so that it reveals nothing."""

    kind, code = Kind.UNAUTHENTICATED, "credentials_invalid"


class SessionEnded(DomainError):
    """The token is valid, but its session has ended, or its user was disabled or deleted."""

    kind, code = Kind.TOKEN_REFUSED, "session_ended"


class AuthenticationTooOld(DomainError):
    """The password was entered too long ago for this."""

    kind, code = Kind.AUTHENTICATION_TOO_OLD, "insufficient_user_authentication"


class RefreshTokenInvalid(DomainError):
    """The refresh token is invalid or its session has ended."""

    kind, code = Kind.UNAUTHENTICATED, "refresh_token_invalid"


class RefreshTokenReused(DomainError):
    """The refresh token had already been replaced; the session was ended, because someone else may have it."""

    kind, code = Kind.UNAUTHENTICATED, "refresh_token_reused"


class PasswordWrong(DomainError):
    """The signed-in user's own password, asked for again, is wrong."""

    kind, code = Kind.FORBIDDEN, "password_wrong"


class AdminOnly(DomainError):
    """Only admins may do this; the database decides who is one, not the token."""

    kind, code = Kind.SCOPE_INSUFFICIENT, "admin_only"


class EmailTaken(DomainError):
    """An account with this address already exists."""

    kind, code = Kind.CONFLICT, "email_taken"


class LastAdmin(DomainError):
    """The change would leave no admin."""

    kind, code = Kind.CONFLICT, "last_admin"


class TooManyAttempts(DomainError):
    """There were too many attempts, or the account is closed to this network; wait before the next one."""

    kind, code = Kind.THROTTLED, "too_many_attempts"
