"""Write the table of docs/reliability.md from the figures of `make faults`."""

import re
import sys
from collections import defaultdict
from pathlib import Path

from tests.faults.report import Report, load, worst

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def table(reports: list[Report]) -> str:
    """Return a Markdown table with a row for each scenario; of each figure the worst run is shown."""
    runs: defaultdict[str, list[Report]] = defaultdict(list)
    for report in reports:
        runs[report.scenario].append(report)
    lines = ["| Scenario | What holds | Figures, the worst of all runs | Runs |", "|---|---|---|---|"]
    for scenario, same in runs.items():
        figures = "<br>".join(map(str, worst(same).figures))
        lines.append(f"| `{scenario}` | {same[0].promise} | {figures} | {len(same)} |")
    return "\n".join(lines)


def main(figures: Path) -> None:
    """Replace the table between the two marks in docs/reliability.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    new, count = between.subn(lambda _: f"{table(load(figures))}\n", text)
    if count != 1:
        sys.exit(f"{DOCUMENT} has no {BEGIN} … {END}")
    DOCUMENT.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
