"""The terminal's view of an apply: what became of each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from migrate.load.applied import Outcome
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN
from migrate.report.limit import first, more
from migrate.report.wording import count, name

_WORST = ("failed", "missing", "stale", "applied", "already")
_COLOURS = {"applied": "green", "already": "green", "stale": "yellow", "missing": "bold red", "failed": "bold red"}


def applied_view(outcomes: Sequence[Outcome], journal: str) -> Text:
    """A line for each service, what is not as planned first where there are many, and the sum."""
    text = Text()
    longest = max((len(outcome.change.subject) for outcome in outcomes), default=0)
    width = max((len(count(len(outcome.change.fields), "setting")) for outcome in outcomes), default=0)
    for outcome in first(outcomes, lambda outcome: _WORST.index(outcome.verdict)):
        change = outcome.change
        text.append(f"{outcome.verdict:8}", _COLOURS[outcome.verdict]).append(
            f" {COLUMN}{change.subject:{longest}}", "bold"
        )
        text.append(f"  {count(len(change.fields), 'setting'):{width}}  {BREAK}{name(change.friendly_name)}\n")
        if outcome.reason:
            text.append(f"         {printable(outcome.reason)}\n", "dim")
    text.append(more(len(outcomes), "object", f"see {journal}"))
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    summed = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(verdicts.items()))
    return text.append("Done: ", "bold").append(f"{summed or 'nothing to do'}. {BREAK}The journal is {journal}\n")
