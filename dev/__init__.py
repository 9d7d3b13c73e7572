"""What only a developer's machine runs: both services and the console as processes, on a Postgres from a wheel."""


class Failure(Exception):
    """Ends the command; the message is one line that says what is wrong and how to mend it."""
