"""The plans of one account in a fleet's folder: which is its newest, how far it is, and a dry run of it.

They are plan.json, plan-2.json and so on, each with its journal, and that of its rollback, beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from migrate.fleet.blocks import blockers_of
from migrate.fleet.running import Ended
from migrate.fleet.stages_reading import MAPPED, Refusals, refuse_unmapped
from migrate.load.edited import refuse_edited
from migrate.load.journal import begun_journal
from migrate.load.limits import LIMITS, MOST_SERVICES
from migrate.load.plan_file import free_plan, journal_of, journals_of, plan_of, read_plan, save_plan
from migrate.load.planning import make_plan
from migrate.load.preview import ground_now, refusals_now
from migrate.load.proposals import INFERRED, with_proposals
from migrate.load.rollback import undo_of
from migrate.model.errors import MigrateError, RefusedError, Step
from migrate.model.plan import Plan

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi

PLAN = "plan.json"
# new: nothing of it is written; begun: something may be; applied: all of it; undoing: its rollback has begun;
# undone: its rollback is finished.
Stand = Literal["new", "begun", "applied", "undoing", "undone"]


@dataclass(frozen=True)
class Limits:
    """What plans are judged by: the limits that are lifted, by name, and how many services may be changed."""

    force: Collection[str] = ()
    max_services: int = MOST_SERVICES


def plans_of(folder: Path) -> list[Path]:
    """The plans of an account, the newest last."""
    found, number = [], 1
    while (path := folder / (PLAN if number == 1 else f"plan-{number}.json")).exists() or journal_of(path).exists():
        found.append(path)
        number += 1
    return found


def refuse_other_journals(folder: Path, *, rollback: bool = False) -> None:
    """Raise `RefusedError` where a single account's command has written by a plan of its own, and that is not undone:
    before a `rollback`, all of it; otherwise what is not finished. A fleet does not know when that was.
    """
    ours = {journal_of(place): begun_journal(journal_of(place)) for place in plans_of(folder)}
    known = {one.plan_id for one in ours.values() if one}
    for journal in journals_of(folder):
        if journal in ours or ((begun := begun_journal(journal)) and begun.plan_id in known):  # or a copy of one
            continue
        stand = stand_of(plan_of(journal))
        if stand in ("begun", "undoing") or (rollback and stand == "applied"):
            raise RefusedError(
                f"{journal} was written by a command of this account alone, and is not undone",
                kept="Nothing was written",
                remedy=(
                    "With the credentials of this account, undo it with: ",
                    Step("rollback", {"journal": journal, "apply": True}),
                    ". If that is settled otherwise, move the file away",
                ),
            )


def stand_of(plan_file: Path) -> Stand:
    """How far a plan is, by its journals. Raises `InputError` for what is none."""
    journal = journal_of(plan_file)
    begun = begun_journal(journal)
    if begun is None or not (begun.entries or begun.finished):
        return "new"
    undo = begun_journal(undo_of(journal))
    if undo is not None:
        return "undone" if undo.finished else "undoing"
    return "applied" if begun.finished else "begun"


def newest_plan(folder: Path) -> Path:
    """The plan that an apply takes. Raises `RefusedError` where none is saved."""
    found = [path for path in plans_of(folder) if path.exists()]
    if not found:
        raise RefusedError(
            f"{folder} has no saved plan",
            kept="Nothing was written",
            remedy=("Make one, and read it, with: ", Step("load", {"mapped": folder.parent})),
        )
    return found[-1]


def judged(api: TwilioApi, plan: Plan, limits: Limits) -> Refusals:
    """Why an apply of a plan would be refused here and now. One that changes nothing is judged by its findings."""
    ground = ground_now(api, plan, limits.max_services)
    return refusals_now(ground, limits.force, tuple(LIMITS) if plan.objects else ("blockers",))


def plan_account(api: TwilioApi, folder: Path, limits: Limits) -> tuple[Plan, Refusals, Ended]:
    """Compare an account's mapped folder with what is live, and save that as its plan; nothing is written to Twilio.

    A plan that was begun stays, and so does one that was applied, unless there is something to change since. Raises
    what `make_plan` raises.
    """
    refuse_unmapped(folder)
    refuse_other_journals(folder)
    place, earlier = folder / PLAN, plans_of(folder)
    stand: Stand = "new"
    if earlier:
        place, stand = earlier[-1], stand_of(earlier[-1])
    if stand in ("begun", "undoing"):
        return _partly_written(api, folder, place, stand, limits)
    plan = make_plan(api, folder / MAPPED)
    if INFERRED in limits.force:
        plan = with_proposals(plan)
    refusals = judged(api, plan, limits)
    if stand == "applied" and not plan.objects:
        return plan, refusals, Ended(figures_of(plan, refusals), "earlier", reason="its plan was applied")
    save_plan(plan, place if stand == "new" else free_plan(folder / PLAN))
    return (
        plan,
        refusals,
        Ended(figures_of(plan, refusals), exit_code=3 if plan.objects else 0, reason=said_of(refusals)),
    )


def _partly_written(
    api: TwilioApi, folder: Path, place: Path, stand: Stand, limits: Limits
) -> tuple[Plan, Refusals, Ended]:
    """A plan of which some is written, or undone: it stays, and is to be finished first."""
    plan = read_plan(place)
    if stand == "undoing":
        error = RefusedError(
            f"{place} is partly undone",
            remedy=("Finish that with: ", Step("rollback", {"path": folder.parent, "apply": True})),
        )
        return plan, (), Ended(figures_of(plan, ()), error=error)
    refusals = judged(api, plan, limits)
    reason = f"its plan {place.name} is partly applied, and stays: resume with --apply"
    said = "; ".join(filter(None, (reason, said_of(refusals))))
    return plan, refusals, Ended(figures_of(plan, refusals), exit_code=3, reason=said)


def finished_plan(folder: Path) -> Plan | None:
    """The plan that an earlier dry run has left, of the mapped folder as it is now; None where it is to be made."""
    place = folder / PLAN
    if [*plans_of(folder)] != [place] or not place.exists() or stand_of(place) != "new":
        return None
    if not all((folder / name).exists() for name in ("report.html", "report.md")):
        return None
    from migrate.map.mapped_folder import open_mapped

    try:
        plan = read_plan(place)
        refuse_edited(plan, place, journal_of(place))
        is_of_it = plan.snapshot == open_mapped(folder / MAPPED).summary.snapshot
    except MigrateError:
        return None
    return plan if is_of_it else None


def figures_of(plan: Plan, refusals: Refusals) -> dict[str, int | str]:
    """A plan in numbers: its services, those that would change, what blocks, and what it only proposes."""
    return {
        "services": len(plan.services),
        "bindings": sum(plan.bindings.values()),
        "changes": len(plan.changes),
        "credentials": len(plan.credentials),
        "blockers": blockers_of(plan),
        "refused_limits": ", ".join(_limits_of(refusals)),
        "proposals": len(plan.proposals),
    }


def said_of(refusals: Refusals) -> str:
    """What refuses a plan, in a line; empty where nothing does."""
    names = ", ".join(_limits_of(refusals))
    return f"an apply would be refused: {names}" if names else ""


def _limits_of(refusals: Refusals) -> list[str]:
    return [*dict.fromkeys(name for name, _ in refusals)]
