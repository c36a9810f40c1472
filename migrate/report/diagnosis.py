"""The terminal's view of a diagnosis: a line for each check, with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.model.diagnosis import Check, unreached, wrong
from migrate.report.layout import COLUMN
from migrate.report.wording import count

_COLOURS = {"fine": "green", "note": "yellow", "wrong": "bold red", "unknown": "cyan"}


def diagnosis_view(checks: Sequence[Check]) -> Text:
    """The checks, and the sum of them."""
    text = Text()
    width = max(len(check.name) for check in checks)
    for check in checks:
        text.append(f"{check.verdict:7}", _COLOURS[check.verdict])
        text.append(f"  {check.name:{width}}", "bold").append(f"  {COLUMN}{check.found}\n")
        if check.remedy:
            text.append(f"{'':{width + 9}}  → {check.remedy}\n")
    problems, unknown = wrong(checks), unreached(checks)
    summed = f"{count(len(problems), 'problem')}: {', '.join(problems)}" if problems else "nothing is wrong"
    if unknown:
        summed = f"{summed if problems else 'nothing is known to be wrong'}; not known: {', '.join(unknown)}"
    return text.append("\nDone: ", "bold").append(f"{summed}.\n")
