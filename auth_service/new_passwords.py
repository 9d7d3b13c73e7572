"""Decides which new passwords are accepted: by rules at once, and then by checks that take a thread."""

import asyncio
from collections.abc import Sequence

from auth_service import guessability, password_rules
from auth_service.breached_passwords import BreachedPasswords
from shared.errors import Fault, ValidationFailed
from shared.text_validation import fault_in_prose


class NewPasswords:
    """What a new password must satisfy. Passwords are given normalized.

    Args:
        min_length: Minimum number of characters.
        context_words: Names of this service, which make a password guessable here.
        breached: Passwords from leaks, if the operator has a copy.
    """

    def __init__(
        self, *, min_length: int, context_words: Sequence[str], breached: BreachedPasswords | None = None
    ) -> None:
        self._min_length = min_length
        self._context_words = context_words
        self._breached = breached
        self._required = guessability.required(min_length)

    def faults(self, password: str, *, email: str, name: str, pointer: str) -> Sequence[Fault]:
        """Return the rules that a password breaks, as far as they are decided at once.

        Args:
            password: The password.
            email: The account's address.
            name: The account's name.
            pointer: The password's place in the body.
        """
        if fault := fault_in_prose(password):  # only an operator can send it, and nobody could log in with it
            return [Fault(pointer, "text_refused", f"it {fault}; remove that character")]
        return list(
            password_rules.faults(password, min_length=self._min_length, email=email, name=name, pointer=pointer)
        )

    async def check(self, password: str, *, email: str, name: str, pointer: str) -> None:
        """Check a password without faults in a thread.

        It costs up to 0.1 s of computing, so the throttle must have counted the request before.

        Args: as for `faults`.

        Raises:
            ValidationFailed: it is known from a leak, or takes too few guesses.
        """
        fault = await asyncio.to_thread(self._slow_fault, password, [*self._context_words, email, name], pointer)
        if fault is not None:
            raise ValidationFailed.of([fault])

    def _slow_fault(self, password: str, words: Sequence[str], pointer: str) -> Fault | None:
        if self._breached is not None and self._breached.contain(password):
            return Fault(
                pointer,
                "password_breached",
                "it is known from a leak, and attackers try it; choose another, and change it wherever you use it",
            )
        found = guessability.estimate(password, words)
        if found.guesses >= self._required:
            return None
        if found.weakness == guessability.UNKNOWN:
            return Fault(pointer, "password_guessable", "how many guesses it takes can't be estimated; choose another")
        figures = f"takes about {_rounded(found.guesses):,} guesses, and at least {self._required:,} are required"
        if found.is_personal:
            without = "without the address, the name and this service's names, it"
            return Fault(pointer, "password_personal", f"{without} {figures}; add a few unrelated words")
        return Fault(pointer, "password_guessable", f"it {figures}: {found.weakness}; add a few unrelated words")


def _rounded(guesses: int) -> int:
    """Return a number with two digits and zeros."""
    return int(float(f"{guesses:.1e}"))
