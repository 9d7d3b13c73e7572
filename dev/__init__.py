"""What only a developer's machine runs: both services as processes, on a Postgres that comes out of a wheel."""


class Failure(Exception):
    """Ends the command; the message is one line that says what is wrong and how to mend it."""
