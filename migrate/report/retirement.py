"""The terminal's view of a retirement: what would be deleted, by service, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.model.retirement import FATES, Retired, Retirement
from migrate.model.text import lasting, printable
from migrate.report.text import table
from migrate.report.wording import count, name

_COLUMNS = {"by_device": "by device", "by_platform": "by platform", "shared": "shared", "earlier": "earlier"}
_FOREVER = "What is deleted cannot be brought back: no API makes bindings"
_LEGEND = """\
Shared: Conversations lists a binding of the same SID, which may be the same object. Those are never deleted.
Pending and expired ones are left alone. By platform: another device was taken for the successor.
"""
_MEANING = {
    "gone": "was not there any more",
    "changed": "is not as in the snapshot any more, and was left alone",
    "shared": "is listed by Conversations, too, and was left alone",
    "failed": "could not be deleted",
}


def retirement_view(
    retirement: Retirement, snapshot: str, seconds: float, files: Sequence[tuple[str, str]], *, dry_run: bool
) -> Text:
    """What would be deleted; it would take so many seconds at least. `files` are names and paths."""
    deletions = count(retirement.deletions, "binding")
    text = table([("Snapshot", f"{snapshot}, as of {retirement.snapshot_as_of[:16]} UTC")]).append("\n")
    text.append(_grid(retirement)).append(f"\n{_LEGEND}\n").append(table(files)).append("\n")
    if dry_run:
        text.append("Dry run: ", "bold")
        text.append(f"{deletions} would be deleted, which takes {_at_least(seconds)}. Nothing was deleted.\n")
    else:
        text.append("To be deleted: ", "bold").append(f"{deletions}, which takes {_at_least(seconds)}.\n")
    return text.append(f"{_FOREVER}.\n")


def _at_least(seconds: float) -> str:
    return f"{lasting(seconds)} at least" if seconds >= 60 else "less than a minute if all goes well"


def _grid(retirement: Retirement) -> Text:
    """A line for each service: what is to be deleted, what is not, and how many of its devices are ready."""
    labels = [f"{service.service_sid}  {name(service.friendly_name)}" for service in retirement.services]
    width = max(map(len, labels), default=0)
    text = Text(" " * width, "bold")
    text.append("".join(f"  {heading:>11}" for heading in (*_COLUMNS.values(), "pending", "expired")), "bold")
    text.append(f"  {'ready':>7}\n", "bold")
    for label, service in zip(labels, retirement.services, strict=True):
        numbers = [getattr(service, key) for key in _COLUMNS] + [service.coverage.pending, service.coverage.expired]
        shown = "".join(f"  {number:>11,}" for number in numbers)
        text.append(f"{label:{width}}{shown}  {service.coverage.percent:5.1f} %\n")
    return text


def retired_view(retired: Retired, journal: str) -> Text:
    """What became of the bindings that were to be deleted."""
    text = Text()
    for fate in FATES[1:]:
        if retired.fates[fate]:
            text.append(f"{fate:8}", "yellow").append(f" {count(retired.fates[fate], 'binding')} {_MEANING[fate]}\n")
    if retired.failure:
        text.append(f"         {printable(retired.failure)}\n", "dim")
    text.append("Done: ", "bold").append(f"{count(retired.fates['deleted'], 'binding')} deleted.")
    return text.append(f" The journal is {journal}\n")
