"""The views of a rehearsal: point by point, for the terminal and in Markdown."""

from __future__ import annotations

from rich.text import Text

from migrate.model.text import lasting, printable
from migrate.rehearse.points import Point, Rehearsal
from migrate.report.layout import BREAK, COLUMN, table
from migrate.report.markdown import escape
from migrate.report.wording import count, when

_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def rehearsal_view(held: Rehearsal) -> Text:
    """What was rehearsed, a line for each point, what would refuse the load at Twilio, and the verdict."""
    text = table(_conditions(held)).append("\n")
    width = max(len(point.name) for point in held.points)
    meaning = max(len(point.meaning) for point in held.points)
    lasted = max(len(lasting(point.seconds)) for point in held.points)
    for point in held.points:
        text.append(f"{point.verdict:8}", _COLOURS[point.verdict]).append(f"{point.name:{width}}  {COLUMN}", "bold")
        text.append(f"{point.meaning:{meaning}}  {BREAK}{lasting(point.seconds):>{lasted}}\n")
        if point.reason:
            text.append(f"{'':{8 + width}}  {printable(point.reason)}\n", "dim")
    for remark in _remarks(held):
        text.append("\nNote: ", "bold").append(f"{COLUMN}{printable(remark)}.")
    text.append("\n\n" if _remarks(held) else "\n")
    if held.kept:
        text.append(f"The plan, the journals and what was said are kept in {held.kept}\n\n")
    return text.append(f"{_verdict(held)}\n", "bold green" if held.passed else "bold red")


def rehearsal_report(held: Rehearsal) -> str:
    """The same as a Markdown document."""
    lines = ["# Rehearsal of the load", "", f"**{_verdict(held)}**", ""]
    lines += [f"- {label}: {escape(printable(value))}" for label, value in _conditions(held)]
    lines += [f"- Note: {escape(printable(remark))}." for remark in _remarks(held)]
    lines += ["", "| | point | what must hold | seconds |", "|---|---|---|---:|", *map(_row, held.points)]
    return "\n".join(lines) + "\n"


def _row(point: Point) -> str:
    reason = f" ({escape(printable(point.reason))})" if point.reason else ""
    return f"| {point.verdict} | {point.name} | {point.meaning}{reason} | {point.seconds:.1f} |"


def _conditions(held: Rehearsal) -> list[tuple[str, str]]:
    conditions = held.conditions
    as_of = f"{when(conditions.as_of)} (account {conditions.account_sid})"
    faults = f"{conditions.fault_rate * 100:g} % of all requests failed, with seed {conditions.seed}"
    return [
        ("Rehearsed", f"{conditions.mapped}: {count(held.changes, 'change')}"),
        ("On", f"a stand-in for Twilio, with {conditions.snapshot}, as of {as_of}"),
        ("Faults", f"{faults}; {count(held.requests, 'request')}, {count(held.writes, 'write')}"),
    ]


def _remarks(held: Rehearsal) -> list[str]:
    """What is to be known before the real load: its limits, which the rehearsal had to lift, and notes."""
    limits = [f"at Twilio, today, this limit refuses it: [{name}] {why}" for name, why in held.limits.items()]
    return [*limits, *held.notes]


def _verdict(held: Rehearsal) -> str:
    counted = ", ".join(f"{number:,} {verdict}" for verdict, number in held.counts.items() if number)
    return f"{'Passed' if held.passed else 'FAILED'}: {counted}, in {lasting(held.seconds)}"
