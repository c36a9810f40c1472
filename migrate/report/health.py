"""The terminal's view of push errors: which credential fails, since when, how many devices, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from migrate.model.counted_errors import ErrorCount
from migrate.model.push_errors import KINDS, entry_of
from migrate.push_errors.health import Health
from migrate.push_errors.health_folder import Measured
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import MOST_SHOWN, more
from migrate.report.push_errors import NOT_ATTRIBUTED, ErrorRow, error_rows
from migrate.report.wording import count, when

_COLOURS = {
    "credential": "bold red",
    "device": "yellow",
    "payload": "yellow",
    "provider": "cyan",
    "unknown": "yellow",
}
_BARS = "▁▂▃▄▅▆▇█"
_NO_PROOF = (
    "No push error is no proof of health: a credential that no push was sent with has none. Alerts come late, too: "
    "look again"
)
_APART = "Neither their credential nor their service is known: the alerts name none, or several"


@dataclass(frozen=True)
class _Counted:
    """A count, the row of it, and its trend."""

    count: ErrorCount
    row: ErrorRow
    trend: Sequence[int]


def health_view(found: Health) -> Text:
    """The numbers, then the errors by credential or service, the worst first; and what is not known."""
    text = table(_facts(found)).append("\n")
    groups = _groups(found)
    shown = groups[:MOST_SHOWN]
    for number, (heading, rows) in enumerate(shown):
        text.append(f"{chr(10) * bool(number)}{heading}\n", "bold")
        for each in rows[:MOST_SHOWN]:
            text.append(_row(found, each))
        text.append(more(len(rows), "code", "use --json", "  "))
    text.append(more(len(groups), "credential or service", "use --json"))
    if found.read.incomplete:
        text.append(
            f"{count(found.read.incomplete, 'piece')} of this time may lack some: Twilio shows 10,000 alerts of a "
            "second, and none of more than 30 days ago.\n",
            "yellow",
        )
    if not found.counts or found.read.alerts == 0:
        text.append(f"{_NO_PROOF}.\n")
    return text


def measured_view(runs: Sequence[tuple[Path, Measured]], folder: str) -> Text:
    """The runs of `health` in a folder, the latest last."""
    text = table([("Push errors", f"{folder}, {count(len(runs), 'run')}")]).append("\n")
    for _, run in runs[-MOST_SHOWN:]:
        text.append(f"{when(run.since)} to {when(run.until)}  {COLUMN}{count(run.total, 'error')}")
        text.append(f"  {BREAK}{_rate(run.rate)}\n" if run.rate is not None else "\n")
    return text.append(more(len(runs), "run", "use --json"))


def _facts(found: Health) -> list[tuple[str, str]]:
    read = found.read
    of = f" (of {count(read.alerts, 'alert')} of all products)"
    rows = [
        ("Push errors", f"{read.errors:,}{of}"),
        ("Span", f"{when(read.since)} to {when(read.until)}"),
    ]
    if read.unfit:
        rows.append(("Unread", f"{count(read.unfit, 'alert')} that could not be read"))
    if found.now.devices is not None:
        rows.append(("Live devices", f"{found.now.devices:,} in the snapshot"))
    if found.now.rate is not None:
        rows.append(("Rate", _rate(found.now.rate)))
    if before := found.before:
        rate = before.rate_for(found.now.devices)
        number = f"{before.total:,} errors from {when(before.since)} to {when(before.until)}"
        rows.append(("Before", f"{_rate(rate)}; {number}" if rate is not None else number))
    return [*rows, ("File", str(found.file))]


def _rate(rate: float) -> str:
    return f"{rate:,.1f} errors a day for 100 live devices"


def _groups(found: Health) -> list[tuple[str, list[_Counted]]]:
    """Rows of errors by credential, else by service, each below its heading; those of neither last."""
    groups: dict[str, list[_Counted]] = {}
    for one, trend in zip(found.counts, found.trends, strict=True):
        sid, devices = one.credential_sid or one.service_sid or "", found.devices_of(one)
        (row,) = error_rows([one], found.names, {} if devices is None else {sid: devices})
        groups.setdefault(sid, []).append(_Counted(one, row, trend))

    def rank(some: list[_Counted]) -> tuple[bool, int, int, str]:
        worst = min(KINDS.index(entry_of(each.count.error_code).kind) for each in some)
        return not some[0].row.sid, worst, -sum(each.row.errors for each in some), some[0].row.sid

    return [(_heading(some), some) for some in sorted(groups.values(), key=rank)]


def _heading(some: Sequence[_Counted]) -> str:
    row = some[0].row
    total = f"  {COLUMN}{count(sum(each.row.errors for each in some), 'error')}"
    if not row.sid:
        return f"{NOT_ATTRIBUTED.capitalize()}{total}. {BREAK}{_APART}."
    named = f"  {COLUMN}{sided(row.name)}" if row.name else ""
    return f"{row.whose.capitalize()} {row.sid}{named}{total}"


def _row(found: Health, each: _Counted) -> Text:
    row, one = each.row, each.count
    text = Text("  ").append(f"{row.code}", _COLOURS[row.kind]).append(f"  {COLUMN}{row.meaning}", "bold")
    text.append(f"  {BREAK}× {row.errors:,}")
    if found.before:
        text.append(f" {BREAK}({found.now.errors_of(one):,.1f} a day, before {found.before.errors_of(one):,.1f})")
    text.append(f"  {BREAK}{row.span}")
    if row.service_sid:
        text.append(f"  {BREAK}in {row.service_sid}")
    text.append("\n")
    if any(each.trend):
        text.append(f"         {bars(each.trend)}\n", "dim")
    named = f"The alerts name {count(row.bindings, 'binding')}. " if row.bindings else ""
    using = f"{count(row.devices, 'live device')} {_HAVE[row.whose]}. " if row.devices is not None else ""
    return text.append(f"         {named}{using}{row.cause}.\n         → {row.remedy}.\n", "dim")


_HAVE = {"credential": "registered with that credential", "service": "are in that service"}


def bars(numbers: Sequence[int]) -> str:
    """Numbers as a line of bars, the highest for the largest; a dot for none."""
    most = max(numbers, default=0)
    return "".join(_BARS[-(-number * len(_BARS) // most) - 1] if number else "·" for number in numbers)
