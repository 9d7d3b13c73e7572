"""Every error that the auth service has beyond those of shared/."""

from shared.errors import Problem


class CredentialsInvalid(Problem):
    """Unknown address, wrong password or disabled account: one answer, so that it tells nothing."""

    status, code = 401, "credentials_invalid"


class SessionEnded(Problem):
    """The token is good, but its session was ended, or its user disabled or deleted."""

    status, code, bearer_error = 401, "session_ended", "invalid_token"


class RefreshTokenInvalid(Problem):
    """The refresh token is none, or its session is over."""

    status, code = 401, "refresh_token_invalid"


class RefreshTokenReused(Problem):
    """The refresh token was replaced before; the session was ended, because two have it."""

    status, code = 401, "refresh_token_reused"


class PasswordWrong(Problem):
    """The signed-in user's own password, asked for once more, is wrong."""

    status, code = 403, "password_wrong"


class AdminOnly(Problem):
    """Only an admin may do this, by what the database says now and not by what the token says."""

    status, code, bearer_error = 403, "admin_only", "insufficient_scope"


class EmailTaken(Problem):
    """There is an account with this address."""

    status, code = 409, "email_taken"


class LastAdmin(Problem):
    """Nobody would be left who can administer."""

    status, code = 409, "last_admin"


class TooManyAttempts(Problem):
    """Too many failed attempts; `Retry-After` says when the next one counts."""

    status, code = 429, "too_many_attempts"
