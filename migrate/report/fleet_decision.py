"""What stands just above the question before a fleet is written to: accounts, the sum of it, lifted limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from migrate.model.plan import Plan
from migrate.model.text import count
from migrate.report.decision import lifted_rows, services_by, sums, switched
from migrate.report.fleet import GOOD, append_rows, rows
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import first, more
from migrate.report.wording import name

if TYPE_CHECKING:  # which reaches what writes
    from migrate.fleet.applying import Planned
    from migrate.fleet.outcome import FleetResult


def fleet_decision(
    planned: Sequence[Planned],
    hosts: Sequence[tuple[str, str]],
    where: str,
    heading: str = "To be applied",
    looked: FleetResult | None = None,
) -> Text:
    """A line for each account, those first in which something goes off, and the sum of it; `where` all of it is.

    What was `looked` at has, before that, the accounts that are refused and left alone.
    """
    text = _left_alone(looked, where) if looked else Text()
    for one in first(planned, lambda one: not _off(one.plan)):
        _append(text, one)
    text.append(more(len(planned), "account", where, "  "))
    plans = [one.plan for one in planned]
    services = sum(len(plan.objects) for plan in plans)
    fields = sum(plan.fields for plan in plans)
    whole = f"{count(fields, 'setting')} of {count(services, 'service')} in {count(len(planned), 'account')}"
    text.append(f"\n{heading}: ", "bold").append(f"{whole}.\n")
    return text.append(table([*hosts, *sums(plans), *_lifted(planned)]))


def _left_alone(looked: FleetResult, where: str) -> Text:
    refused = [row for row in rows(looked) if row.verdict not in GOOD]
    if not refused:
        return Text()
    text = Text().append(f"Left alone: {count(len(refused), 'account')}\n", "bold yellow")
    append_rows(text, refused)
    return text.append(more(len(refused), "account", where)).append("\n")


def _append(text: Text, one: Planned) -> None:
    text.append(f"  {one.sid}", "bold").append(f"  {COLUMN}{count(len(one.plan.objects), 'service')}")
    if one.friendly_name:
        text.append(f"  {BREAK}{sided(name(one.friendly_name))}")
    if off := _off(one.plan):
        text.append(f"  {BREAK}OFF: ", "bold red").append(services_by(off))
    text.append("\n")


def _off(plan: Plan) -> list[tuple[str, ...]]:
    """What each service of a plan has switched off, where it has."""
    return [paths for change in plan.changes if (paths := switched(change, on=False))]


def _lifted(planned: Sequence[Planned]) -> list[tuple[str, str]]:
    """A row for each limit that was lifted, with its problem where it is of one account alone."""
    found: dict[str, list[str]] = {}
    for one in planned:
        for limit, problem in one.lifted:
            found.setdefault(limit, []).append(problem)
    told = {limit: many[0] if len(many) == 1 else f"in {len(many):,} accounts" for limit, many in found.items()}
    return lifted_rows([*told.items()])
