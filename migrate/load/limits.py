"""Limits: what must hold before anything is written. Each has a name, by which an operator can lift that one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from migrate.model.address import is_same_api, is_twilios
from migrate.model.clock import REMEDY, Clock
from migrate.model.errors import RefusedError
from migrate.model.plan import Plan
from migrate.model.text import listed, printable

NOTHING_WRITTEN = "Nothing was written"
OLDEST_SNAPSHOT = timedelta(days=30)  # as long as Twilio lets personal data be kept (FACTS.md, "Binding")
MOST_SERVICES = 100


@dataclass(frozen=True)
class Ground:
    """What limits are judged by: the plan, whom it would be applied to, and when."""

    plan: Plan
    account_sid: str
    target: str
    now: datetime
    max_services: int = MOST_SERVICES
    clock: Clock | None = None

    @classmethod
    def of_plan(cls, plan: Plan) -> Ground:
        """What `OF_A_PLAN` are judged by: the plan alone."""
        return cls(plan, plan.account_sid, plan.target, datetime.max)  # no time matters to these

    def about(self, code: str) -> list[str]:
        """What the findings of a code are about; an empty text for one that does not say."""
        return [printable(finding.subject) for finding in self.plan.findings if finding.code == code]


def _blockers(ground: Ground) -> str:
    where: dict[str, dict[str, None]] = {}
    for finding in ground.plan.findings:
        if finding.severity == "blocker":  # of the whole account, its subject says what it is about
            where.setdefault(finding.code, {})[finding.service_sid or printable(finding.subject)] = None
    named = [f"{code} ({listed([*where[code]])})" if any(where[code]) else code for code in sorted(where)]
    return f"the findings block it: {', '.join(named)}; decide them, and map again" if where else ""


def _switches_off(ground: Ground) -> str:
    found = [finding for finding in ground.plan.findings if finding.code == "change-disables"]
    pushes = listed([f"{finding.subject} of {finding.service_sid}" for finding in found])
    what = f"it would switch off what is on now ({len(found):,}): {pushes}"
    return f"{what}; take those keys out of push-config.yaml" if found else ""


def _unverified(ground: Ground) -> str:
    missing = ground.about("snapshot-unverified")
    where = f" ({listed(missing)})" if any(missing) else ""
    return f"the snapshot that it rests on{where} is not there whole; put it back where it was" if missing else ""


def _changed(ground: Ground) -> str:
    changed = ground.about("snapshot-changed")
    where = f" ({listed(changed)})" if any(changed) else ""
    return f"the snapshot{where} is another than was mapped; map it again" if changed else ""


def _other_account(ground: Ground) -> str:
    if ground.plan.account_sid == ground.account_sid:
        return ""
    return f"it was made for account {ground.plan.account_sid}, and the credentials are for {ground.account_sid}"


def _other_address(ground: Ground) -> str:
    if is_same_api(ground.plan.target, ground.target):
        return ""
    # What undoes a plan rests on no snapshot, and cannot be re-created for another address.
    remedy = "make a new plan there" if ground.plan.snapshot else "name the former with --conversations-url"
    return f"it was made from {ground.plan.target}, and would be written to {ground.target}; {remedy}"


def _old(ground: Ground) -> str:
    problem = too_old(datetime.fromisoformat(ground.plan.as_of), ground.now) if ground.plan.as_of else ""
    return f"{problem}; extract and map again" if problem else ""


def too_old(as_of: datetime, now: datetime) -> str:
    """What is wrong with a snapshot's age; empty if nothing is."""
    age = now - as_of
    if age <= OLDEST_SNAPSHOT:
        return ""
    return f"the snapshot, as of {as_of:%Y-%m-%d}, is {age.days} days old, more than {OLDEST_SNAPSHOT.days}"


def _clock(ground: Ground) -> str:
    return f"{ground.clock}; {REMEDY[0].lower()}{REMEDY[1:]}" if ground.clock and ground.clock.is_refused else ""


def _many(ground: Ground) -> str:
    number = len(ground.plan.changes)
    if number <= ground.max_services:
        return ""
    named = listed([change.service_sid for change in ground.plan.changes])
    what = f"it changes {number:,} services, more than {ground.max_services:,}: {named}"
    return f"{what}; raise --max-services if you mean so many"


LIMITS: dict[str, Callable[[Ground], str]] = {
    "other-account": _other_account,
    "other-address": _other_address,
    "unverified-snapshot": _unverified,
    "changed-snapshot": _changed,
    "old-snapshot": _old,
    "clock": _clock,
    "blockers": _blockers,
    "switches-off": _switches_off,
    "many-services": _many,
}
# What undoes a plan needs no snapshot, and switches off what the plan had switched on.
OF_A_ROLLBACK = ("other-account", "other-address", "many-services")
# What a plan shows by itself, whoever applies it, to what, and when.
OF_A_PLAN = ("unverified-snapshot", "changed-snapshot", "blockers", "switches-off", "many-services")


def violations(ground: Ground, names: Collection[str] = tuple(LIMITS)) -> Iterator[tuple[str, str]]:
    """Every limit that does not hold: its name, and what is wrong, with the remedy."""
    for name in names:
        if problem := LIMITS[name](ground):
            yield name, problem


def refuse_beyond(
    ground: Ground, lifted: Collection[str], names: Collection[str] = tuple(LIMITS)
) -> tuple[tuple[str, str], ...]:
    """Raise `RefusedError` with every limit that does not hold for a plan and was not lifted; gives the others."""
    return refuse(violations(ground, names), lifted, unliftable(ground))


def unliftable(ground: Ground) -> tuple[str, ...]:
    """The limits that cannot be lifted here: what another server had is never written to Twilio's own API."""
    is_foreign = is_twilios(ground.target) and not is_twilios(ground.plan.target)
    return ("other-address",) if is_foreign else ()


def refuse(
    violated: Iterable[tuple[str, str]],
    lifted: Collection[str],
    firm: Collection[str] = (),
    *,
    kept: str = NOTHING_WRITTEN,
) -> tuple[tuple[str, str], ...]:
    """Raise `RefusedError` with every limit, by name and problem, that was not lifted, or is `firm`.

    Gives those that were lifted.
    """
    every = [*violated]
    found = [(name, problem) for name, problem in every if name not in lifted or name in firm]
    if found:
        listed = "; ".join(f"[{name}] {problem}" for name, problem in found)
        ways = " ".join(f"--force {name}" for name, _ in found if name not in firm)
        not_lifted = " and ".join(name for name, _ in found if name in firm)
        remedies = [
            f"A limit can be lifted by its name, if you know better: {ways}" if ways else "",
            f"No --force lifts {not_lifted}" if not_lifted else "",
        ]
        raise RefusedError(f"Not applied: {listed}", kept=kept, remedy=". ".join(filter(None, remedies)))
    return tuple(every)
