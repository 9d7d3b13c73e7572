"""Every error that the auth service has beyond those of shared/."""

from shared.errors import Problem


class CredentialsInvalid(Problem):
    """Unknown address, wrong password or disabled account: one answer, so that it tells nothing."""

    status, code = 401, "credentials_invalid"


class SessionEnded(Problem):
    """The token is good, but its session was ended, or its user disabled or deleted."""

    status, code, bearer_error = 401, "session_ended", "invalid_token"


class EmailTaken(Problem):
    """There is an account with this address."""

    status, code = 409, "email_taken"
