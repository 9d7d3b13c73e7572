"""Every error that the posts service has beyond those of shared/."""

from shared.errors import Problem


class NotTheAuthor(Problem):
    """The post belongs to somebody else."""

    status, code = 403, "not_the_author"


class VersionMismatch(Problem):
    """The post was changed since it was read; `ETag` has its present version."""

    status, code = 412, "version_mismatch"


class IdempotencyMismatch(Problem):
    """The Idempotency-Key was used for another post."""

    status, code = 422, "idempotency_mismatch"
