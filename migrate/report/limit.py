"""How much of a long list a text shows: the first of it, the worst first, then how many more, and where they are.

For the terminal and the messages beside it; what goes into files and `--json` is whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.text import Text

from migrate.model.catalogue import SEVERITIES
from migrate.model.finding import Finding
from migrate.model.plan import Change
from migrate.model.text import MOST_NAMED as MOST_NAMED
from migrate.model.text import listed as listed

MOST_SHOWN = 20  # of each list: changes, services, folders, the places of one finding
Item = TypeVar("Item")


def first(items: Sequence[Item], rank: Callable[[Item], Any] = lambda _: 0) -> Sequence[Item]:
    """The items, where they are few, in their own order; of many the first by rank."""
    return items if len(items) <= MOST_SHOWN else sorted(items, key=rank)[:MOST_SHOWN]


def more(whole: int, noun: str, where: str, indent: str = "", also: str = "") -> Text:
    """The line that says how many are not shown, `also` what their numbers are, and where all are; empty if none."""
    left = whole - MOST_SHOWN
    if left <= 0:
        return Text()
    shown = f"{indent}… and {left:,} more {noun}{'' if left == 1 else 's'}, of {whole:,} in all"
    return Text(f"{shown}{also}: {where}\n", "bold")


def worst_first(changes: Iterable[Change], findings: Iterable[Finding]) -> list[Change]:
    """Changes by what is found in their services: first those that switch something off, then by severity."""
    ranks = severity_ranks(findings)
    return sorted(changes, key=lambda change: ranks[change.service_sid])


def severity_ranks(findings: Iterable[Finding]) -> Mapping[str | None, int]:
    """Services by what is found in them, the worst with the lowest number; also such in which nothing is."""
    ranks: defaultdict[str | None, int] = defaultdict(lambda: len(SEVERITIES))
    for finding in findings:
        rank = -1 if finding.code == "change-disables" else SEVERITIES.index(finding.severity)
        ranks[finding.service_sid] = min(rank, ranks[finding.service_sid])
    return ranks
