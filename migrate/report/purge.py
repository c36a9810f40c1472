"""The terminal's view of a purge: what is kept, how old it is, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from migrate.model.text import printable
from migrate.purge import Kept
from migrate.report.layout import BREAK, COLUMN
from migrate.report.limit import first, more
from migrate.report.wording import count, size


def _rank(kept: Kept, actions: Mapping[Kept, str]) -> tuple[bool, bool, str]:
    return not kept.obstacle, kept not in actions, kept.as_of.isoformat() if kept.as_of else ""


def purge_view(found: Sequence[Kept], actions: Mapping[Kept, str], now: datetime, *, dry_run: bool) -> Text:
    """A line for each folder; `actions` has those that are too old, with what becomes of them.

    Of many folders those are shown that something is said of, then those that are too old, the oldest first.
    """
    whole, found = found, first(found, lambda kept: _rank(kept, actions))
    text = Text()
    ages = [count((now - kept.as_of).days, "day") if kept.as_of else "of unknown age" for kept in found]
    sizes = [size(kept.size) for kept in found]
    width, largest = max(map(len, ages), default=0), max(map(len, sizes), default=0)
    for kept, age, takes in zip(found, ages, sizes, strict=True):
        text.append(f"{actions.get(kept, 'kept'):7}", "yellow" if kept in actions else "green")
        text.append(f"  {age:>{width}}  {takes:>{largest}}").append(
            f"  {COLUMN}{printable(str(kept.path))}\n", "bold"
        )
        if kept.obstacle:
            text.append(f"{'':{width + largest + 13}}left alone: {printable(kept.obstacle)}\n", "dim")
    text.append(more(len(whole), "folder", "use --json"))
    doubtful = [kept for kept in whole if kept.obstacle]
    left = f" {count(len(doubtful), 'folder')} left alone: look at what is said of it." if doubtful else ""
    if dry_run:
        return text.append("Dry run: ", "bold").append(
            f"{count(len(actions), 'folder')} of {len(whole):,} would be removed. {BREAK}Nothing was removed.{left}\n"
        )
    word = "Not everything was looked at or removed: " if doubtful else "Done: "
    return text.append(word, "bold").append(f"{count(len(actions), 'folder')} of {len(whole):,} removed.{left}\n")
