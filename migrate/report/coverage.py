"""The terminal's view of a verification: who is ready and who is not, by service and platform."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.model.text import printable
from migrate.report.layout import COLUMN, grid, table
from migrate.report.limit import MOST_SHOWN, first, listed, more
from migrate.report.text import findings_view
from migrate.report.wording import count, name, share, when
from migrate.verify.coverage import Counts, Coverage
from migrate.verify.coverage_folder import CoverageRun

_COLUMNS = {
    "bindings": "bindings",
    "ready_device": "device",
    "ready_platform": "platform",
    "pending": "pending",
    "expired": "expired",
    "new": "new",
    "unclear": "unclear",
}
_LEGEND = """\
Ready: registered with Conversations, by the same device or by another of the same platform in its place; in percent \
of the bindings that had not expired. New and unclear are live bindings: of no known device; without a subscription \
that would show whether they are Conversations' or Chat's.
"""


def coverage_view(coverage: Coverage, snapshot: str, files: Sequence[tuple[str, str]]) -> Text:
    """The numbers, and where they were written; `files` are names and paths."""
    rows: list[tuple[str, Sequence[str]]] = []
    for service in first(coverage.services, lambda service: -service.total.pending):
        rows.append((f"{service.service_sid}  {COLUMN}{name(service.friendly_name)}", ()))
        rows += [(f"  {_platform(platform)}", _cells(counts)) for platform, counts in service.platforms.items()]
    rows.append(("All", _cells(coverage.total)))
    text = table(_sides(coverage, snapshot)).append("\n").append(grid((*_COLUMNS.values(), "ready"), rows))
    text.append(more(len(coverage.services), "service", "see the coverage file below, or use --json"))
    if coverage.total.findings:
        text.append("\n").append(findings_view(coverage.total.findings, {}, "use --json"))
    return text.append(f"\n{_LEGEND}\n").append(table(files))


def _sides(coverage: Coverage, snapshot: str) -> list[tuple[str, str]]:
    ours, theirs = count(coverage.total.bindings, "binding"), count(coverage.live_bindings, "binding")
    through = "Conversations" if coverage.live_source == "conversations" else "Chat, which may not show all of them"
    rows = [
        ("Snapshot", f"{snapshot}, {ours}, as of {when(coverage.snapshot_as_of)}"),
        ("Live", f"{theirs} through {through}, as of {when(coverage.live_as_of)}"),
    ]
    if coverage.rejected:
        rows.append(("", f"{count(coverage.rejected, 'record')} of it did not fit, and are not waited for"))
    rows += rejected_row([(service.service_sid, service.rejected) for service in coverage.services])
    if coverage.narrowed:
        rows.append(("Only", "of the part of the account that the snapshot was narrowed to"))
    return rows


def rejected_row(services: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """The row that says how many live records did not fit, by the SIDs of services; no row where all did."""
    number = sum(rejected for _, rejected in services)
    if not number:
        return []
    where = listed([f"{sid} ({rejected:,})" for sid, rejected in services if rejected], "service")
    return [("Rejected", f"{count(number, 'live record')} that do not fit, and count for nothing: {where}")]


def _cells(counts: Counts) -> list[str]:
    return [*(f"{getattr(counts, key):,}" for key in _COLUMNS), f"{share(counts.ready, counts.expected):>7}"]


def _platform(platform: str | None) -> str:
    return "(none)" if platform is None else printable(platform) or '""'


def runs_view(runs: Sequence[CoverageRun], folder: str) -> Text:
    """The runs in a coverage folder, the latest last, and the latest by service and platform."""
    text = table([("Coverage", f"{folder}, {count(len(runs), 'run')}")]).append("\n")
    if not runs:
        return text
    lines = [(f"{run.as_of[:16]} UTC  {run.snapshot[:19]}", _cells(run.total)) for run in runs[-MOST_SHOWN:]]
    text.append(grid((*_COLUMNS.values(), "ready"), lines))
    text.append(more(len(runs), "run", "use --json")).append("\nThe latest\n", "bold")
    latest, rows = runs[-1], list[tuple[str, Sequence[str]]]()
    for service in first(latest.services, lambda service: -service.total.pending):
        rows.append((service.service_sid, ()))
        rows += [(f"  {_platform(platform)}", _cells(counts)) for platform, counts in service.platforms.items()]
    text.append(grid((*_COLUMNS.values(), "ready"), [*rows, ("All", _cells(latest.total))]))
    text.append(more(len(latest.services), "service", "use --json"))
    if rejected := rejected_row([(one.service_sid, one.rejected) for one in latest.services]):
        text.append(table(rejected))
    return text.append(f"\n{_LEGEND}")
