"""A fleet in words: the verdict on each account, what blocks where, and the sums; and the terminal's view of it.

The other views, Markdown and HTML, say the same in the same words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from migrate.fleet.outcome import AccountOutcome, Block, FleetResult
from migrate.model.catalogue import SEVERITIES
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import MOST_SHOWN, listed, more
from migrate.report.wording import count, name

# Verdicts, the worst first, each with its colour. What an account's stage ended with decides where it stands.
VERDICTS: Mapping[str, str] = {
    "interrupted": "bold red",
    "partly": "bold red",
    "failed": "bold red",
    "stale": "yellow",
    "refused": "yellow",
    "not begun": "yellow",
    "left out": "dim",
    "pending": "cyan",
    "done": "green",
    "earlier": "green",
}
GOOD = ("done", "earlier", "pending", "left out")  # after which nothing is left to do for an account
_OF_EXIT_CODES = {130: "interrupted", 6: "partly", 5: "stale", 4: "refused", 3: "pending", 0: "done"}
MOST_NAMED = 2  # accounts, which have long names, in a line
STAGES: Mapping[str, str] = {  # what a report is of
    "run": "what would change",
    "load": "what would change",
    "plan": "what would change",
    "apply": "what was applied",
    "rollback": "what was undone",
    "verify": "who has registered",
    "health": "which pushes were refused",
}
_FIGURES = (  # in the order in which they are shown, whatever order a file has them in; others come after
    "services", "bindings", "rejected", "points_passed", "failed", "changes", "credentials", "blockers",
    "refused_limits", "proposals", "applied", "undone", "expected", "ready", "errors", "live_devices",
    "checks", "wrong",
)  # fmt: skip
_SEVERITIES = ("refused", *SEVERITIES)  # of what blocks: limits first


@dataclass(frozen=True)
class Row:
    """An account as every view has it: its verdict, its numbers in one phrase, why, and what to do about it."""

    verdict: str
    sid: str
    name: str
    status: str
    numbers: str
    reason: str
    remedy: str = ""

    @property
    def why(self) -> str:
        """Why it is not as wanted, and what to do, in one line that is safe to show."""
        return printable(f"{self.reason}. {self.remedy}" if self.remedy else self.reason)


def rows(result: FleetResult) -> list[Row]:
    """The accounts, the worst first: by verdict, then by what the stage has counted, then by SID."""
    order = [*VERDICTS]
    every = sorted(result.accounts, key=lambda one: (order.index(verdict(one)), -_weight(one.figures), one.sid))
    return [_row(account) for account in every]


def _weight(figures: Mapping[str, int | str]) -> float:
    """How bad an account's numbers are among those of the same stage: errors by live devices, who is still waited
    for, what blocks.
    """

    def number(name: str) -> int:
        found = figures.get(name, 0)
        return found if isinstance(found, int) else 0

    if "errors" in figures:
        return number("errors") / max(1, number("live_devices"))
    if "expected" in figures:
        return 1 - number("ready") / max(1, number("expected"))
    return number("blockers")


def _row(account: AccountOutcome) -> Row:
    status = "" if account.status in ("active", "unknown", "") or account.status in account.reason else account.status
    shown = numbers(account.figures)
    return Row(verdict(account), account.sid, account.friendly_name, status, shown, account.reason, account.remedy)


def verdict(account: AccountOutcome) -> str:
    """What became of an account, in a word or two: one of `VERDICTS`."""
    if account.state == "not-begun":
        return "not begun"
    if account.state == "left-out":
        return "left out" if account.exit_code in (0, 3) else "refused"
    if account.state == "interrupted":
        return "interrupted"
    if account.state == "earlier" and not account.exit_code:
        return "earlier"
    return _OF_EXIT_CODES.get(account.exit_code, "failed")


def tally(result: FleetResult) -> str:
    """All verdicts in one phrase: `3 failed, 197 done`."""
    return tally_of(map(verdict, result.accounts))


def tally_of(words: Iterable[str]) -> str:
    """Some verdicts in one phrase, the worst first."""
    found = Counter(words)
    return ", ".join(f"{found[word]:,} {word}" for word in VERDICTS if found[word]) or "no account"


def numbers(figures: Mapping[str, int | str]) -> str:
    """Figures in one phrase, without those that are zero: `12 services · 2,000 bindings`."""
    order = {key: place for place, key in enumerate(_FIGURES)}
    ordered = sorted(figures.items(), key=lambda figure: (order.get(figure[0], len(order)), figure[0]))
    shown = [_figure(key, value) for key, value in ordered if value not in (0, "")]
    return " · ".join(shown)


def _figure(key: str, value: int | str) -> str:
    words = key.replace("_", " ")
    if isinstance(value, str):
        return f"{words}: {printable(value)}"
    noun = words.removesuffix("s")
    return count(value, noun) if words.endswith("s") else f"{value:,} {words}"


def blocks(result: FleetResult) -> list[Block]:
    """What blocks, the worst first: by severity, then by how many accounts it blocks."""
    known = {severity: place for place, severity in enumerate(_SEVERITIES)}
    return sorted(result.blocks, key=lambda block: (known.get(block.severity, 0), -len(block.accounts), block.code))


def reach(block: Block) -> str:
    """How many accounts and services something blocks."""
    services = f", {count(block.services, 'service')}" if block.services else ""
    return f"{count(len(block.accounts), 'account')}{services}"


def fleet_view(result: FleetResult, where: str, heading: str = "") -> Text:
    """The accounts, of many the worst, what blocks where, and the sums. `where` says where all of them are."""
    every = rows(result)
    text = append_rows(Text(), every)
    text.append(more(len(every), "account", where))
    if shown := blocks(result):
        text.append("\nWhat blocks where\n", "bold").append(_blocks(shown, where))
    text.append(f"\n{heading or 'Accounts'}: ", "bold").append(f"{tally(result)}.\n")
    sums = numbers(result.totals)
    return text.append(table([("In all", sums)])) if sums else text


def append_rows(text: Text, every: Sequence[Row]) -> Text:
    """Append the first of some accounts, in lines that align."""
    width = max((len(row.verdict) for row in every), default=0)
    for row in every[:MOST_SHOWN]:
        _append(text, row, width)
    return text


def _append(text: Text, row: Row, width: int) -> None:
    text.append(f"{row.verdict:{width}}", VERDICTS[row.verdict]).append(f"  {COLUMN}{row.sid}", "bold")
    named = sided(name(row.name)) if row.name else ""
    status = f" ({row.status})" if row.status else ""
    text.append(f"  {BREAK}{named}{status}".rstrip()).append("\n")
    for detail in filter(None, (row.numbers, row.why)):
        text.append(f"{'':{width}}  {COLUMN}{detail}\n", "dim")


def _blocks(shown: Sequence[Block], where: str) -> Text:
    text = Text()
    width = max(len(block.severity) for block in shown)
    codes = max(len(block.code) for block in shown)
    for block in shown[:MOST_SHOWN]:
        text.append(f"  {block.severity:{width}}  ", "bold").append(f"{COLUMN}{block.code:{codes}}  ")
        text.append(f"{BREAK}{reach(block)}  {BREAK}").append(f"{named(block.accounts)}\n", "dim")
    return text.append(more(len(shown), "code", where, "  "))


def named(sids: Sequence[str]) -> str:
    """A few accounts by SID, and how many more there are."""
    left = len(sids) - MOST_NAMED
    return f"{', '.join(sids[:MOST_NAMED])} and {left:,} more" if left > 0 else listed(sids)
