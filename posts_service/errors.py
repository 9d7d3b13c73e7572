"""Every error that the posts service has beyond those of shared/."""

from shared.errors import Problem


class NotTheAuthor(Problem):
    """The post belongs to somebody else."""

    status, code = 403, "not_the_author"
