"""The terminal's view of push errors: which credential fails, since when, how many devices, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from migrate.model.push_errors import KINDS, entry_of
from migrate.push_errors.counts import ErrorCount
from migrate.push_errors.health import Health
from migrate.push_errors.health_folder import Measured
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import MOST_SHOWN, more
from migrate.report.wording import count, name, when

_COLOURS = {
    "credential": "bold red",
    "device": "yellow",
    "payload": "yellow",
    "provider": "cyan",
    "unknown": "yellow",
}
_BARS = "▁▂▃▄▅▆▇█"
NO_PROOF = (
    "No push error is no proof of health: a credential that no push was sent with has none. Alerts come late, too: "
    "look again"
)
_APART = "Neither their credential nor their service is known: the alerts name none, or several"


def health_view(found: Health) -> Text:
    """The numbers, then the errors by credential or service, the worst first; and what is not known."""
    text = table(_facts(found)).append("\n")
    groups = _groups(found)
    shown = groups[:MOST_SHOWN]
    for number, (heading, rows) in enumerate(shown):
        text.append(f"{chr(10) * bool(number)}{heading}\n", "bold")
        for one, trend in rows[:MOST_SHOWN]:
            text.append(_row(found, one, trend))
        text.append(more(len(rows), "code", "use --json", "  "))
    text.append(more(len(groups), "credential or service", "use --json"))
    if found.read.incomplete:
        text.append(
            f"{count(found.read.incomplete, 'piece')} of this time may lack some: Twilio shows 10,000 alerts of a "
            "second, and none of more than 30 days ago.\n",
            "yellow",
        )
    if not found.counts or found.read.alerts == 0:
        text.append(f"{NO_PROOF}.\n")
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
        rows.append(("Unread", f"{count(read.unfit, 'alert')} without the form of one"))
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


def _groups(found: Health) -> list[tuple[str, list[tuple[ErrorCount, Sequence[int]]]]]:
    """Counts with their trends, by credential, else by service; those of neither last."""
    groups: dict[tuple[int, str], list[tuple[ErrorCount, Sequence[int]]]] = {}
    for one, trend in zip(found.counts, found.trends, strict=True):
        place = 0 if one.credential_sid else 1 if one.service_sid else 2
        groups.setdefault((place, one.credential_sid or one.service_sid or ""), []).append((one, trend))

    def rank(item: tuple[tuple[int, str], list[tuple[ErrorCount, Sequence[int]]]]) -> tuple[int, int, int, str]:
        (place, sid), rows = item
        kind = min(KINDS.index(entry_of(one.error_code).kind) for one, _ in rows)
        return place == 2, kind, -sum(one.errors for one, _ in rows), sid

    return [(_heading(*key, rows, found.names), rows) for key, rows in sorted(groups.items(), key=rank)]


def _heading(place: int, sid: str, rows: Sequence[tuple[ErrorCount, Sequence[int]]], names: Mapping[str, str]) -> str:
    total = f"  {COLUMN}{count(sum(one.errors for one, _ in rows), 'error')}"
    if place == 2:
        return f"Not attributed{total}. {BREAK}{_APART}"
    kind = ("Credential", "Service")[place]
    return f"{kind} {sid}  {COLUMN}{sided(name(names[sid]))}{total}" if names.get(sid) else f"{kind} {sid}{total}"


def _row(found: Health, one: ErrorCount, trend: Sequence[int]) -> Text:
    entry = entry_of(one.error_code)
    text = Text("  ").append(f"{one.error_code}", _COLOURS[entry.kind]).append(f"  {COLUMN}{entry.meaning}", "bold")
    text.append(f"  {BREAK}× {one.errors:,}")
    if found.before:
        text.append(f" {BREAK}({found.now.errors_of(one):,.1f} a day, before {found.before.errors_of(one):,.1f})")
    if one.first:
        text.append(f"  {BREAK}{when(one.first)} to {when(one.last)}")
    if one.service_sid and one.credential_sid:
        text.append(f"  {BREAK}in {one.service_sid}")
    text.append("\n")
    if any(trend):
        text.append(f"         {bars(trend)}\n", "dim")
    devices = found.devices_of(one)
    named = f"The alerts name {count(one.bindings, 'binding')}. " if one.bindings else ""
    using = f"{count(devices, 'live device')} {_HAVE[bool(one.credential_sid)]}. " if devices is not None else ""
    return text.append(f"         {named}{using}{entry.cause}.\n         → {entry.remedy}.\n", "dim")


_HAVE = {True: "registered with that credential", False: "are in that service"}


def bars(numbers: Sequence[int]) -> str:
    """Numbers as a line of bars, the highest for the largest; a dot for none."""
    most = max(numbers, default=0)
    return "".join(_BARS[-(-number * len(_BARS) // most) - 1] if number else "·" for number in numbers)
