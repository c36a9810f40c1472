"""The Markdown view of a difference, for pull requests and tickets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from migrate.diff.difference import CHANGES, Difference
from migrate.model.catalogue import SEVERITIES
from migrate.model.text import printable
from migrate.report.diff import (
    HEADINGS,
    KINDS,
    LEGEND,
    Row,
    fields,
    listings,
    service_rows,
    sides,
    type_rows,
    verdict,
)
from migrate.report.markdown import LARGEST, code, escape
from migrate.report.wording import count, counts

_FEW_ROWS = (1_000, 300, 100, 30, 10, 3, 0)  # of each list, in a Markdown document that would be too long


def difference_report(difference: Difference) -> str:
    """The same as a Markdown document of at most 60 kB: of longer lists it has the first, and says how many more."""
    whole = _document(difference, None)
    for most in _FEW_ROWS:
        if len(whole.encode()) <= LARGEST:
            break
        whole = _document(difference, most)
    return whole


def _document(difference: Difference, most: int | None) -> str:
    lines = [
        f"# What has changed between two {KINDS[difference.kind]}",
        "",
        f"**{escape(verdict(difference))}.**",
        "",
    ]
    lines += [f"- {label}: {escape(value)}" for label, value in sides(difference)]
    lines += [f"- Note: {escape(printable(note))}." for note in difference.notes]
    lines += ["", *_summary(difference)]
    if difference.bindings:
        types = [(escape(kind), numbers) for kind, numbers in type_rows(difference, most)]
        lines += ["## Bindings", "", *_numbers("type", types, None)]
        if differing := fields(difference):
            lines += [f"Changed in: {escape(differing)}.", ""]
        lines += [f"{LEGEND}.", "", *_numbers("service | type", _by_service(difference), most)]
    for listing in listings(difference):
        head = ["| | of | what | before | after |", "|---|---|---|---|---|"]
        lines += [f"## {listing.title}", "", *_limited(head, map(_row, listing.rows), most, listing.noun)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _summary(difference: Difference) -> list[str]:
    """Findings by severity, where they differ."""
    found = Counter((one.severity, one.change) for one in difference.findings)
    lines = []
    for severity in SEVERITIES:
        numbers: dict[str, int] = {change: found[severity, change] for change in CHANGES if found[severity, change]}
        if numbers:
            lines.append(f"- Findings ({severity}): {counts(numbers)}")
    return [*lines, ""] if lines else []


def _row(row: Row) -> str:
    shown = [code(text) if text else "" for text in (row.before, row.after)]
    path = "" if row.path == row.change else escape(row.path)
    return f"| {row.change} | {escape(row.subject)} | {path} | {shown[0]} | {shown[1]} |"


def _numbers(label: str, rows: Sequence[tuple[str, Sequence[str]]], most: int | None) -> list[str]:
    if not rows:
        return []
    head = [f"| {label} | {' | '.join(HEADINGS)} |", "|---" * (label.count("|") + 1) + "|---:" * len(HEADINGS) + "|"]
    return _limited(head, (f"| {name} | {' | '.join(numbers)} |" for name, numbers in rows), most, "service")


def _by_service(difference: Difference) -> list[tuple[str, Sequence[str]]]:
    """The services' numbers as rows of a table, each with the service and the type."""
    return [
        (f"{escape(label)} | {escape(kind)}", numbers)
        for label, types in service_rows(difference)
        for kind, numbers in types
    ]


def _limited(head: Sequence[str], rows: Iterable[str], most: int | None, noun: str) -> list[str]:
    every = [*rows]
    shown = every if most is None else every[:most]
    left = len(every) - len(shown)
    rest = [f"… and {count(left, f'more {noun}')}; a report in JSON has all.", ""] if left else []
    return [*(head if shown else ()), *shown, "", *rest]
