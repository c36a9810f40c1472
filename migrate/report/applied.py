"""The terminal's view of an apply: what became of each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from migrate.model.applied import Outcome
from migrate.model.text import printable
from migrate.report.wording import count, name

_COLOURS = {"applied": "green", "already": "green", "stale": "yellow", "missing": "bold red", "failed": "bold red"}


def applied_view(outcomes: Sequence[Outcome], journal: str) -> Text:
    """A line for each service, and the sum."""
    text = Text()
    for outcome in outcomes:
        change = outcome.change
        text.append(f"{outcome.verdict:8}", _COLOURS[outcome.verdict]).append(f" {change.subject}", "bold")
        text.append(f"  {name(change.friendly_name)}  {count(len(change.fields), 'setting')}\n")
        if outcome.reason:
            text.append(f"         {printable(outcome.reason)}\n", "dim")
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    summed = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(verdicts.items()))
    return text.append("Done: ", "bold").append(f"{summed or 'nothing to do'}. The journal is {journal}\n")
