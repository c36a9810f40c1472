"""The Markdown view of a fleet, for pull requests and tickets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from migrate.fleet.outcome import Block, FleetResult
from migrate.model.text import printable
from migrate.report import fleet as words
from migrate.report.markdown import LARGEST, code, escape
from migrate.report.wording import count

_FEW_ROWS = (1_000, 300, 100, 30, 10, 3, 0)  # of each list, in a document that would be too long


def fleet_report(result: FleetResult, reports: Collection[str] = (), page: str = "report.html") -> str:
    """The fleet as a Markdown document of at most 60 kB: of longer lists it has the worst, and says how many more.

    `reports` are the accounts that have one of their own beside it, and `page` is the same as HTML.
    """
    document = ""
    for most in (len(result.accounts) + len(result.blocks), *_FEW_ROWS):
        document = _document(result, reports, most, page)
        if len(document.encode()) <= LARGEST:
            break
    return document


def _document(result: FleetResult, reports: Collection[str], most: int, page: str) -> str:
    sums = words.numbers(result.totals)
    lines = [
        f"# Fleet: {words.STAGES.get(result.stage, result.stage)}",
        "",
        f"**{escape(words.tally(result))}**, of {count(len(result.accounts), 'account')}.",
        "",
        *([f"- In all: {escape(sums)}", ""] if sums else []),
    ]
    if shown := words.blocks(result):
        head = [
            "## What blocks where",
            "",
            "| severity | code | accounts | services | which |",
            "|---|---|---:|---:|---|",
        ]
        lines += _limited(head, map(_block, shown), most, "code", page)
    head = ["## Accounts", "", "| verdict | account | name | numbers | why |", "|---|---|---|---|---|"]
    lines += _limited(head, (_account(row, reports) for row in words.rows(result)), most, "account", page)
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(block: Block) -> str:
    which = " ".join(f"`{sid}`" for sid in block.accounts[: words.MOST_NAMED])
    left = len(block.accounts) - words.MOST_NAMED
    more = f" and {left:,} more" if left > 0 else ""
    return f"| {block.severity} | `{block.code}` | {len(block.accounts):,} | {block.services:,} | {which}{more} |"


def _account(row: words.Row, reports: Collection[str]) -> str:
    sid = f"[`{row.sid}`]({row.sid}/report.html)" if row.sid in reports else f"`{row.sid}`"
    named = code(printable(row.name)) if row.name else ""
    status = f" ({row.status})" if row.status else ""
    return f"| {row.verdict}{status} | {sid} | {named} | {escape(row.numbers)} | {escape(row.why)} |"


def _limited(head: Sequence[str], rows: Iterable[str], most: int, noun: str, page: str) -> list[str]:
    every = [*rows]
    left = len(every) - most
    rest = [f"… and {count(left, f'more {noun}')}; `{page}` beside this report has all.", ""] if left > 0 else []
    return [*head, *every[:most], "", *rest]
