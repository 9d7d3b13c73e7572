"""The figures that a drill collects, and the table that it prints."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

SHOWN_FAILURES = 10


@dataclass
class Step:
    """The events of one step of the drill. A request belongs to the step in which it was sent."""

    name: str
    began: float
    ended: float = 0.0
    noticed: float | None = None
    """Seconds until all replicas had noticed the changed key file, if the step changed it."""
    requests: Counter[str] = field(default_factory=Counter)
    """Requests of the clients, by method and path."""
    failures: list[str] = field(default_factory=list)
    """Unexpected answers: the step, the request and the answer."""
    planned: int = 0
    """Log-ins that a client planned: its first one, and those well before its token expires."""
    forced: int = 0
    """Log-ins because a token was refused."""
    tokens: Counter[str] = field(default_factory=Counter)
    """Tokens issued, by the kid of the signing key."""


@dataclass
class Figures:
    """The results of a drill."""

    steps: list[Step] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """How often a `keys` command of the operator was refused, by its name: promote, retire."""

    @property
    def step(self) -> Step:
        """The current step, or the last one."""
        return self.steps[-1]

    def begin(self, name: str) -> None:
        """Begin the next step."""
        if self.steps:
            self.end()
        self.steps.append(Step(name, began=time.monotonic()))

    def end(self) -> None:
        """End the current step."""
        self.step.ended = time.monotonic()

    @property
    def whole(self) -> Step:
        """The sum of all steps."""
        whole = Step("all", self.steps[0].began, self.step.ended)
        for step in self.steps:
            whole.requests += step.requests
            whole.failures += step.failures
            whole.planned += step.planned
            whole.forced += step.forced
            whole.tokens += step.tokens
        return whole

    @property
    def is_good(self) -> bool:
        """Whether no client noticed anything, although there was load in every step."""
        return not self.whole.failures and not self.whole.forced and all(step.requests for step in self.steps)

    def lines(self) -> Iterator[str]:
        """Yield the figures as a table with explanations."""
        whole = self.whole
        kids = list(whole.tokens)
        keys = "".join(f"{f'key {number}':>7}" for number in range(1, len(kids) + 1))
        yield f"{'step':12} seconds  noticed  requests  failed  forced  planned  tokens by:{keys}"
        for step in (*self.steps, whole):
            noticed = "" if step.noticed is None else f"{step.noticed:.1f}"
            tokens = "".join(f"{step.tokens[kid]:7}" for kid in kids)
            yield (
                f"{step.name:12} {step.ended - step.began:7.1f}  {noticed:>7}  {step.requests.total():8}"
                f"  {len(step.failures):6}  {step.forced:6}  {step.planned:7}  {'':10}{tokens}"
            )
        yield ""
        yield "noticed    seconds until all replicas had noticed the changed key file"
        yield "forced     log-ins because a token was refused"
        yield "planned    each client's first log-in, and those well before its token expires"
        yield from (f"key {number}      {kid}" for number, kid in enumerate(kids, 1))
        yield "requests   " + ", ".join(f"{count} {request}" for request, count in sorted(whole.requests.items()))
        yield "refused    " + ", ".join(f"keys {command} ({count})" for command, count in self.refused.items())
        yield from (f"failed     {failure}" for failure in whole.failures[:SHOWN_FAILURES])
