"""Apply and rollback for one account of a fleet: a look, and, once that was agreed to, the write of what was shown.

Between the two anything may have changed, so the write looks again: it is of the plan that was shown, or of none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.fleet.plans import Limits, newest_plan, plans_of, refuse_other_journals, stand_of
from migrate.fleet.running import Ended
from migrate.load.applied import Applied
from migrate.load.apply import apply_plan
from migrate.load.edited import refuse_edited
from migrate.load.limits import LIMITS, OF_A_ROLLBACK, refuse_beyond
from migrate.load.plan_file import journal_of, read_plan, stale_objects
from migrate.load.preview import ground_now
from migrate.load.proposals import INFERRED
from migrate.load.rollback import journal_to_undo, not_undone, plan_rollback, rollback_plan, undo_of
from migrate.load.writing import NOTHING_WRITTEN, Observer
from migrate.model.errors import AGAIN, MigrateError, PartlyAppliedError, RefusedError, StaleError, Step
from migrate.model.plan import Plan
from migrate.model.text import count, listed

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi

Lifted = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Planned:
    """An account that is to be written to: what is planned for it, and the limits that were lifted, by name."""

    sid: str
    friendly_name: str
    plan: Plan
    lifted: Lifted = ()


class Saying(Observer[Plan]):
    """Passes on what is to be known of an account, with its SID."""

    def __init__(self, sid: str, say: Callable[[str], None]) -> None:
        self._sid = sid
        self._say = say

    def say(self, message: str) -> None:
        """Say it of the account."""
        self._say(message if self._sid in message else f"{self._sid}: {message}")


def look_at_plan(api: TwilioApi, folder: Path, limits: Limits) -> tuple[Plan, Lifted] | Ended:
    """The saved plan of an account, and the limits that are lifted for it; or why nothing is to be written.

    Raises the error for a plan that is refused, was edited, is stale, or is another account's.
    """
    place = newest_plan(folder)
    journal, stand = journal_of(place), stand_of(place)
    plan = read_plan(place)
    _refuse_other_account(api, place, plan)
    refuse_other_journals(folder)
    if stand in ("undoing", "undone"):
        raise _undone(folder, place, stand == "undone")
    if stand == "applied":
        return Ended({"applied": len(plan.objects)}, "earlier", reason="its plan was applied")
    refuse_edited(plan, place, journal)
    if INFERRED in limits.force and plan.proposals:
        raise RefusedError(
            f"{place} only proposes {count(len(plan.proposals), 'setting')} that --force inferred writes",
            kept=NOTHING_WRITTEN,
            remedy=("Make a plan that has them with: ", Step("load", {"mapped": folder.parent, "force": INFERRED})),
        )
    if stand == "new" and (stale := stale_objects(api, plan, journal)):
        raise _stale(folder, plan, stale)
    names = tuple(LIMITS) if plan.objects else ("blockers",)
    ground = ground_now(api, plan, limits.max_services)
    lifted = refuse_beyond(ground, _lifted(limits), names)
    if not plan.objects:
        return Ended({"changes": 0}, "left-out", reason="there is nothing to change")
    return plan, lifted


def apply_account(api: TwilioApi, folder: Path, shown: str, limits: Limits, observer: Observer[Plan]) -> Ended:
    """Write the plan with the id that was `shown`. Raises what `apply_plan` raises before it has written anything."""
    place = newest_plan(folder)
    plan = read_plan(place)
    _refuse_other_account(api, place, plan)
    if plan.plan_id != shown:
        raise StaleError(
            f"{place} was replaced after it was shown", kept=NOTHING_WRITTEN, remedy=("Look again: ", AGAIN)
        )
    refuse_edited(plan, place, journal_of(place))
    force = [*_lifted(limits)]
    return _written(
        lambda: apply_plan(
            api,
            plan,
            journal_of(place),
            force=force,
            confirm=lambda now: now.plan_id == shown,
            max_services=limits.max_services,
            observer=observer,
        ),
        "applied",
    )


def journal_to_roll_back(folder: Path) -> Path | None:
    """The journal of the newest plan of which something may be live, by what its journals say; None without one."""
    for place in reversed(plans_of(folder)):
        if stand_of(place) in ("begun", "applied", "undoing"):
            return journal_of(place)
    return None


def look_at_rollback(api: TwilioApi, folder: Path, limits: Limits) -> tuple[Plan, Lifted] | Ended:
    """What a rollback of an account would write; or why there is nothing to undo. Raises as `look_at_plan` does."""
    refuse_other_journals(folder, rollback=True)
    journal = journal_to_roll_back(folder)
    if journal is None:
        undone = [place for place in plans_of(folder) if stand_of(place) == "undone"]
        if left := not_undone(api, [journal_to_undo(api, journal_of(place)) for place in undone]):
            raise StaleError(
                f"It was undone, except for what somebody has changed: {listed(left, 'setting')}",
                kept=NOTHING_WRITTEN,
                remedy="Compare these settings with those before the load, and correct by hand what is wrong",
            )
        if undone:
            return Ended({"undone": 0}, "earlier", reason="it was undone")
        return Ended({"undone": 0}, "left-out", reason="nothing was written")
    plan = plan_rollback(api, journal_to_undo(api, journal))
    ground = ground_now(api, plan, limits.max_services)
    lifted = refuse_beyond(ground, limits.force, OF_A_ROLLBACK)
    if not plan.objects:  # all is as it was, which is noted; or others have changed it since: that is its error
        rollback_plan(api, journal, undo=undo_of(journal), force=limits.force, max_services=limits.max_services)
        return Ended({"undone": 0}, "earlier", reason="nothing is left to undo")
    return plan, lifted


def roll_back_account(api: TwilioApi, folder: Path, shown: str, limits: Limits, observer: Observer[Plan]) -> Ended:
    """Undo the newest journal, if that is still what was `shown`. Raises what `rollback_plan` raises."""
    journal = journal_to_roll_back(folder)
    if journal is None:
        return Ended({"undone": 0}, "earlier", reason="it was undone")

    def agreed(now: Plan) -> bool:
        if now.plan_id != shown:
            raise StaleError(
                "What would be undone has changed since it was shown",
                kept=NOTHING_WRITTEN,
                remedy=("Look again: ", AGAIN),
            )
        return True

    ended = _written(
        lambda: rollback_plan(
            api,
            journal,
            undo=undo_of(journal),
            force=limits.force,
            confirm=agreed,
            max_services=limits.max_services,
            observer=observer,
        ),
        "undone",
    )
    others = [one for one in plans_of(folder) if stand_of(one) in ("begun", "applied") and journal_of(one) != journal]
    if others and ended.error is None:
        reason = f"an earlier plan is still applied: {others[-1].name}; the same command undoes it"
        return Ended(ended.figures, exit_code=PartlyAppliedError.exit_code, reason=reason)
    return ended


def _written(call: Callable[[], Applied], verb: str) -> Ended:
    """What a call has written, also where it ends with an error."""
    try:
        done, error = call(), None
    except MigrateError as raised:
        if not isinstance(raised.result, Applied):
            raise
        done, error = raised.result, raised
    figures: dict[str, int | str] = {verb: 0}
    for outcome in done.outcomes:
        name = verb if outcome.verdict == "applied" else outcome.verdict
        figures[name] = int(figures.get(name, 0)) + 1
    return Ended(figures, error=error)


def _lifted(limits: Limits) -> list[str]:
    return [name for name in limits.force if name != INFERRED]


def _refuse_other_account(api: TwilioApi, place: Path, plan: Plan) -> None:
    if plan.account_sid != api.account_sid:
        raise RefusedError(
            f"{place} is a plan for account {plan.account_sid}, and it lies in the folder of {api.account_sid}",
            kept=NOTHING_WRITTEN,
            remedy="Move it back to where it was made",
        )


def _undone(folder: Path, place: Path, is_done: bool) -> RefusedError:
    if is_done:
        return RefusedError(
            f"{place} was applied, and undone since",
            kept=NOTHING_WRITTEN,
            remedy=("Make a new plan with: ", Step("load", {"mapped": folder.parent})),
        )
    return RefusedError(
        f"The rollback of {place} is not finished",
        kept=NOTHING_WRITTEN,
        remedy=("Finish it with: ", Step("rollback", {"path": folder.parent, "apply": True})),
    )


def _stale(folder: Path, plan: Plan, stale: list[str]) -> StaleError:
    return StaleError(
        f"Somebody changed {len(stale):,} of {count(len(plan.objects), 'object')} since it was planned: "
        f"{listed(stale)}",
        kept=NOTHING_WRITTEN,
        remedy=("Make a new plan with: ", Step("load", {"mapped": folder.parent})),
    )
