"""The figures of a scenario: each has a limit, and the worst of several runs counts."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

TIMES = ("s", "ms", "%")
"""Units of figures that depend on what else the machine does."""

Rule = Literal["at most", "at least", "for information"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `limit` is None if it is for information only."""

    name: str
    value: float
    unit: str
    rule: Rule
    limit: float | None

    @property
    def holds(self) -> bool:
        """Whether the figure keeps to its limit."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.rule == "at most" else self.value >= self.limit

    def __str__(self) -> str:
        value = f"{_shown(self.value)}{self.unit and ' ' + self.unit} {self.name}"
        limit = "" if self.limit is None else f" ({self.rule} {_shown(self.limit)})"
        return f"{value}{limit}{'' if self.holds else ' MISSED'}"


@dataclass
class Report:
    """What one run of a scenario measured.

    Args:
        scenario: The test's node id.
        promise: What must hold: the first line of the test's docstring.
    """

    scenario: str
    promise: str
    figures: list[Figure] = field(default_factory=list)

    def at_most(self, limit: float, name: str, value: float, unit: str = "") -> None:
        """Record a figure that must not be larger than `limit`."""
        self.figures.append(Figure(name, value, unit, "at most", limit))

    def at_least(self, limit: float, name: str, value: float, unit: str = "") -> None:
        """Record a figure that must not be smaller than `limit`."""
        self.figures.append(Figure(name, value, unit, "at least", limit))

    def note(self, name: str, value: float, unit: str = "") -> None:
        """Record a figure that has no limit."""
        self.figures.append(Figure(name, value, unit, "for information", None))

    @property
    def missed(self) -> list[Figure]:
        """The figures that don't keep to their limit."""
        return [figure for figure in self.figures if not figure.holds]

    def __str__(self) -> str:
        return f"{self.scenario}: {', '.join(map(str, self.figures)) or 'no figures'}"


def save(reports: list[Report], file: Path) -> None:
    """Write the reports of all runs to a file."""
    file.write_text(json.dumps([asdict(report) for report in reports], indent=1))


def load(file: Path) -> list[Report]:
    """Read what `save` wrote."""
    return [
        Report(item["scenario"], item["promise"], [Figure(**figure) for figure in item["figures"]])
        for item in json.loads(file.read_text())
    ]


def worst(reports: list[Report]) -> Report:
    """Combine several runs of one scenario: of each figure the value furthest from its limit's safe side."""
    figures = []
    for same in zip(*(report.figures for report in reports), strict=True):
        pick = min if same[0].rule == "at least" else max
        figures.append(pick(same, key=lambda figure: figure.value))
    return Report(reports[0].scenario, reports[0].promise, figures)


def _shown(value: float) -> str:
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"
