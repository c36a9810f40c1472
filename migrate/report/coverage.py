"""The terminal's view of a verification: who is ready and who is not, by service and platform."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.model.coverage import Counts, Coverage
from migrate.model.text import printable
from migrate.report.text import table
from migrate.report.wording import count, name

_COLUMNS = {
    "bindings": "bindings",
    "ready_device": "by device",
    "ready_platform": "by platform",
    "pending": "pending",
    "expired": "expired",
    "new": "new",
    "unclear": "unclear",
}
_LEGEND = """\
Ready: registered with Conversations, by the same device or by another of the same platform in its place; in percent
of the bindings that had not expired. New and unclear are live bindings: in nobody's place; subscribed to nothing
that would tell Conversations' from Chat's.
"""


def coverage_view(coverage: Coverage, snapshot: str, files: Sequence[tuple[str, str]]) -> Text:
    """The numbers, and where they were written; `files` are names and paths."""
    rows: list[tuple[str, Counts | None]] = []
    for service in coverage.services:
        rows.append((f"{service.service_sid}  {name(service.friendly_name)}", None))
        rows += [(f"  {_platform(platform)}", counts) for platform, counts in service.platforms.items()]
    rows.append(("All", coverage.total))
    text = table(_sides(coverage, snapshot)).append("\n").append(_grid(rows))
    return text.append(f"\n{_LEGEND}\n").append(table(files))


def _sides(coverage: Coverage, snapshot: str) -> list[tuple[str, str]]:
    ours, theirs = count(coverage.total.bindings, "binding"), count(coverage.live_bindings, "binding")
    through = "Conversations" if coverage.live_source == "conversations" else "Chat, which may not show all of them"
    rows = [
        ("Snapshot", f"{snapshot}, {ours}, as of {coverage.snapshot_as_of[:16]} UTC"),
        ("Live", f"{theirs} through {through}, as of {coverage.live_as_of[:16]} UTC"),
    ]
    if coverage.narrowed:
        rows.append(("Only", "of the part of the account that the snapshot was narrowed to"))
    return rows


def _grid(rows: Sequence[tuple[str, Counts | None]]) -> Text:
    """A line for each row: its numbers, or a heading."""
    width = max(len(label) for label, counts in rows if counts)
    cells = {key: [f"{getattr(counts, key):,}" for _, counts in rows if counts] for key in _COLUMNS}
    widths = {key: max(len(heading), *map(len, cells[key])) for key, heading in _COLUMNS.items()}
    text = Text(" " * width, "bold")
    for key, heading in _COLUMNS.items():
        text.append(f"  {heading:>{widths[key]}}", "bold")
    text.append(f"  {'ready':>7}\n", "bold")
    for label, counts in rows:
        if counts is None:
            text.append(f"{label}\n", "bold")
            continue
        numbers = "".join(f"  {getattr(counts, key):>{widths[key]},}" for key in _COLUMNS)
        text.append(f"{label:{width}}{numbers}  {counts.percent:5.1f} %\n")
    return text


def _platform(platform: str | None) -> str:
    return "(none)" if platform is None else printable(platform) or '""'
