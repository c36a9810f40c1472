"""The terminal's view of a retirement: what would be deleted, by service, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.model.retirement import FATES, Retired, Retirement
from migrate.model.text import lasting, printable
from migrate.report.layout import BREAK, COLUMN, grid, table
from migrate.report.wording import count, name, share

_MINUTE = 60  # seconds
_COLUMNS = {
    "by_device": "device",
    "by_platform": "platform",
    "shared": "shared",
    "needed": "needed",
    "earlier": "earlier",
    "pending": "pending",
    "expired": "expired",
}
_FOREVER = "What is deleted cannot be brought back: no API makes bindings"
_LEGEND = """\
To be deleted are those that are ready by device, or by platform where that was asked for. Left alone: shared, for \
Conversations lists a binding of the same SID, which may be the same object, or it is one of its own; needed, for \
Chat has seen the device later, or for a push that it does not ask for in Conversations. Earlier: by an earlier run.
"""
_MEANING = {
    "gone": "not there any more",
    "changed": "not as in the snapshot any more, and left alone",
    "shared": "listed by Conversations, too, and left alone",
    "unready": "left alone: what made it ready in Conversations is gone",
    "failed": "could not be deleted",
}


def retirement_view(
    retirement: Retirement, snapshot: str, seconds: float, files: Sequence[tuple[str, str]], *, dry_run: bool
) -> Text:
    """What would be deleted; it would take so many seconds at least. `files` are names and paths."""
    text = table([("Snapshot", f"{snapshot}, as of {retirement.snapshot_as_of[:16]} UTC")]).append("\n")
    text.append(_grid(retirement)).append(f"\n{_LEGEND}\n").append(table(files)).append("\n")
    deletions = count(retirement.deletions, "binding")
    if seconds >= _MINUTE:
        deletions += f", in {lasting(seconds)} at least"
    if not dry_run:
        text.append("To be deleted: ", "bold").append(f"{deletions}.\n")
    else:
        text.append("Dry run: ", "bold").append(f"to be deleted: {deletions}. {BREAK}Nothing was deleted.\n")
    return text.append(f"{_FOREVER}.\n" if retirement.deletions else "")


def _grid(retirement: Retirement) -> Text:
    """For each service its name, and a line: what is to be deleted, what is not, and how many devices are ready."""
    rows: list[tuple[str, Sequence[str]]] = []
    for service in retirement.services:
        numbers = {**vars(service), **vars(service.coverage)}
        ready = f"{share(service.coverage.ready, service.coverage.expected):>7}"
        cells = [*(f"{numbers[key]:,}" for key in _COLUMNS), ready]
        rows += [(f"{service.service_sid}  {COLUMN}{name(service.friendly_name)}", ()), ("", cells)]
    return grid((*_COLUMNS.values(), "ready"), rows)


def retired_view(retired: Retired, journal: str) -> Text:
    """What became of the bindings that were to be deleted."""
    text = Text()
    for fate in FATES[1:]:
        if retired.fates[fate]:
            text.append(f"{fate:8}", "yellow").append(f" {count(retired.fates[fate], 'binding')} {_MEANING[fate]}\n")
    if retired.failure:
        text.append(f"         {printable(retired.failure)}\n", "dim")
    text.append("Done: ", "bold").append(f"{count(retired.fates['deleted'], 'binding')} deleted.")
    return text.append(f" {BREAK}The journal is {journal}\n")
