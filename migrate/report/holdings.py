"""The terminal's view of what a file or a folder holds."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from migrate.inspect.holdings import (
    HealthHeld,
    Held,
    JournalHeld,
    MappedHeld,
    PlanHeld,
    RetirementHeld,
    RunHeld,
    SnapshotHeld,
)
from migrate.inspect.kinds import NAMES
from migrate.load.journal import CredentialEntry, Entry
from migrate.model.text import listed, printable
from migrate.report.coverage import runs_view
from migrate.report.health import measured_view
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import first, more
from migrate.report.mapping import map_view
from migrate.report.text import extract_view, plan_view
from migrate.report.wording import Refusals, count, name, setting

_WHERE = "use --json"
_COLOURS = {"applied": "green", "failed": "bold red", "void": "dim", "open": "bold yellow"}
_MEANING = {
    "finished": "finished: all that was planned is done",
    "unfinished": "unfinished: the same plan can be applied again, and resumes",
    "open": "interrupted within a write: whether it arrived, the same command looks up when it resumes",
}


def held_view(held: Held, refusals: Refusals = ()) -> Text:
    """What was read, as the command that made it shows it; `refusals` are those of a plan."""
    if isinstance(held, SnapshotHeld):
        return _snapshot(held)
    if isinstance(held, MappedHeld):
        edited = [("Edited", f"since it was mapped: {listed(held.edited)}")] if held.edited else []
        return map_view(held.mapped.as_it_stands, str(held.path), edited, held.edits or ())
    if isinstance(held, PlanHeld):
        return plan_view(held.plan, where=_WHERE, refusals=refusals)
    if isinstance(held, JournalHeld):
        return _journal(held)
    if isinstance(held, RetirementHeld):
        return _retirement(held)
    if isinstance(held, RunHeld):
        return table([(NAMES[one.kind].partition(" ")[2].capitalize(), str(one.path)) for one in held.contents])
    if isinstance(held, HealthHeld):
        return measured_view(held.runs, str(held.path))
    return runs_view(held.runs, str(held.path))


def _snapshot(held: SnapshotHeld) -> Text:
    if begun := held.begun:
        manifest = held.manifest
        rows = [
            ("Snapshot", f"{held.path}, unfinished"),
            ("Source", f"begun at {manifest.started_at[:16]} UTC {BREAK}(account {manifest.account_sid})"),
            ("Chains", f"{begun.done:,} of {count(begun.chains, 'chain')} that were begun are done"),
            ("Bindings", f"{sum(begun.rows.values()):,} so far; {begun.rejected:,} rejected"),
        ]
        text = table(rows)
    else:
        text = extract_view(held.manifest, str(held.path), held.findings)
    if held.damage:
        text.append("Damaged: ", "bold red").append(f"{printable(held.damage.what)}\n")
    text.append("\n")
    services = list(held.rows.items())
    width = max((len(f"{number:,}") for _, number in services), default=0)
    for sid, number in first(services, lambda item: -item[1]):
        text.append(f"{sid}  {COLUMN}{number:>{width},} {'binding ' if number == 1 else 'bindings'}")
        text.append(f"  {sided(name(held.names[sid]))}\n" if sid in held.names else "\n")
    return text.append(more(len(services), "service", _WHERE))


def _journal(held: JournalHeld) -> Text:
    journal = held.journal
    text = table(
        [
            ("Journal", str(held.path)),
            ("Plan", printable(journal.plan_id)),
            ("Account", f"{printable(journal.account_sid)}, at {printable(journal.target)}"),
            ("Written", f"from {printable(held.first)} to {printable(held.last)}"),
            ("State", _MEANING[held.state]),
        ]
    ).append("\n")
    for entry in first(journal.entries, lambda entry: ("failed", None, "applied", "void").index(entry.status)):
        text.append(_entry(entry)).append("\n")
    return text.append(more(len(journal.entries), "write", _WHERE))


def _entry(entry: Entry | CredentialEntry) -> Text:
    status = entry.status or "open"
    text = Text().append(f"{status:8}", _COLOURS[status])
    if isinstance(entry, CredentialEntry):
        what = entry.sid or f"a new {printable(entry.type)} credential"
        return text.append(f" {what}", "bold").append(f"  {COLUMN}{sided(name(entry.friendly_name))}\n")
    text.append(f" {entry.service_sid}", "bold").append(f"  {COLUMN}{sided(name(entry.friendly_name))}\n")
    width = max((len(path) for path in entry.desired), default=0)
    for path in entry.desired:
        text.append(f"    {path:{width}}  {BREAK}")
        text.append(sided(setting(entry.before, path)), "red").append(f" {BREAK}→ ")
        text.append(sided(setting(entry.desired, path)), "green").append("\n")
    return text


def _retirement(held: RetirementHeld) -> Text:
    journal = held.journal
    rows: Sequence[tuple[str, str]] = [
        ("Journal", str(held.path)),
        ("Snapshot", printable(journal.snapshot)),
        ("Account", f"{printable(journal.account_sid)}, at {printable(journal.target)}"),
        ("Written", f"from {printable(held.first)} to {printable(held.last)}"),
        ("Deleted", f"{count(len(journal.deleted), 'binding')} of Chat's, for good"),
        *([("Open", f"a delete whose end was not seen: {listed(sorted(journal.begun))}")] if journal.begun else []),
    ]
    return table(rows)
