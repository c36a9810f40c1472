"""What stands just above the question before something is written: where, what it does, and beyond which limits.

The services come first and what must be seen last, so that a long list moves nothing of it off the screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from migrate.model.plan import Change, Plan
from migrate.model.text import count, printable, share
from migrate.report.layout import BREAK, sided, table
from migrate.report.limit import first, more
from migrate.report.wording import name, tally, verdict
from migrate.retire.retirement import Retirement


@dataclass(frozen=True)
class Terms:
    """On what terms something is to be written: whose account it is, `hosts` as labels and addresses, and the limits
    that do not hold and were lifted, by name and problem. `where` says where all of it can be read.
    """

    account_sid: str
    hosts: Sequence[tuple[str, str]]
    lifted: Sequence[tuple[str, str]]
    where: str


def plan_decision(plan: Plan, terms: Terms, heading: str = "To be applied") -> Text:
    """What a plan writes: a line for each service, those first in which something goes off, and the sum of it."""
    text = Text()
    for credential in first(plan.credentials):
        sign = "+" if credential.existing is None else "~"
        text.append(f"  {sign} {credential.subject}", "bold")
        text.append(f"  {BREAK}  {sided(name(credential.friendly_name))}\n")
    text.append(more(len(plan.credentials), "credential", terms.where, "  "))
    changes = sorted(plan.changes, key=lambda change: not switched(change, on=False))
    for change in first(changes):
        _append_service(text, change)
    text.append(more(len(changes), "service", terms.where, "  "))
    text.append(f"\n{heading}: ", "bold").append(f"{verdict(plan)}.\n")
    return text.append(table([*_place(terms), *sums([plan]), *lifted_rows(terms.lifted), *_findings(plan, terms)]))


def retire_decision(retirement: Retirement, terms: Terms) -> Text:
    """What a retirement deletes: a line for each service, those first of which most is deleted, and the sum of it."""
    text = Text()
    services = sorted((one for one in retirement.services if one.deletions), key=lambda one: -one.deletions)
    for service in first(services):
        ready = share(service.coverage.ready, service.coverage.expected)
        text.append(f"  {service.service_sid}", "bold").append(f"  {count(service.deletions, 'binding')}")
        text.append(f"  {BREAK}  {sided(name(service.friendly_name))}, {ready} ready\n")
    text.append(more(len(services), "service", terms.where, "  "))
    whole = f"{count(retirement.deletions, 'binding')} of {count(len(services), 'service')}"
    text.append("\nTo be deleted for good: ", "bold red").append(f"{whole}.\n")
    return text.append(table([*_place(terms), *lifted_rows(terms.lifted)]))


def switched(change: Change, *, on: bool) -> tuple[str, ...]:
    """What a change switches on, or off: `new_message` for `new_message.enabled`; in reading order."""
    return tuple(
        path.removesuffix(".enabled")
        for path in change.fields
        if change.desired[path] is on and bool(change.existing.get(path, False)) is not on
    )


def _append_service(text: Text, change: Change) -> None:
    text.append(f"  {change.service_sid}", "bold").append(f"  {count(len(change.fields), 'setting')}")
    text.append(f"  {BREAK}  {sided(name(change.friendly_name))}")
    for word, paths, colour in (
        ("OFF", switched(change, on=False), "bold red"),
        ("on", switched(change, on=True), "green"),
    ):
        if paths:
            text.append(f"  {BREAK}  {word}: ", colour).append(", ".join(paths))
    text.append("\n")


def _place(terms: Terms) -> list[tuple[str, str]]:
    return [("Account", terms.account_sid), *terms.hosts]


def sums(plans: Sequence[Plan]) -> list[tuple[str, str]]:
    """What plans write, in sum: credentials, and in how many services what is switched off, and on."""
    credentials = [credential for plan in plans for credential in plan.credentials]
    changes = [change for plan in plans for change in plan.changes]
    rows = []
    if credentials:
        made = sum(credential.existing is None for credential in credentials)
        rows.append(("Credentials", f"{made:,} created, {len(credentials) - made:,} updated"))
    if changes:
        rows.append(("Switches off", services_by(switched(change, on=False) for change in changes)))
        rows.append(("Switches on", services_by(switched(change, on=True) for change in changes)))
    return rows


def services_by(switches: Iterable[Sequence[str]]) -> str:
    """In how many services each is switched; the most frequent first."""
    counted = Counter(path for paths in switches for path in paths)
    named = [f"{path} ({count(number, 'service')})" for path, number in counted.most_common()]
    return f", {BREAK}".join(named) or "nothing"


def lifted_rows(lifted: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """A row for each limit that was lifted, without the remedy that its text ends in."""
    told = [(limit, problem.rpartition("; ")[0] or problem) for limit, problem in lifted]
    return [("Lifted" if number == 0 else "", f"[{limit}] {what}") for number, (limit, what) in enumerate(told)]


def _findings(plan: Plan, terms: Terms) -> list[tuple[str, str]]:
    found = tally(plan.findings)
    return [("Findings", f"{found}; {BREAK}in full with -v, or {printable(terms.where)}" if plan.findings else found)]
