"""The posts service's own errors; shared/errors.py has the rest."""

from shared.errors import DomainError, Kind


class NotTheAuthor(DomainError):
    """The post belongs to someone else."""

    kind, code = Kind.FORBIDDEN, "not_the_author"


class VersionMismatch(DomainError):
    """The post has changed since it was read."""

    kind, code = Kind.VERSION_MISMATCH, "version_mismatch"


class TooManyRequests(DomainError):
    """The user has written too often."""

    kind, code = Kind.THROTTLED, "too_many_requests"


class SearchTooExpensive(DomainError):
    """The search took too long, and was cancelled."""

    kind, code = Kind.UNAVAILABLE, "search_too_expensive"


class IdempotencyMismatch(DomainError):
    """The idempotency key was used for a different post."""

    kind, code = Kind.INVALID, "idempotency_mismatch"
