"""The project on a developer's machine: both services and the console as processes, on an embedded Postgres."""


class Failure(Exception):
    """Ends the command. The message is one line that says what is wrong and what to do about it."""
