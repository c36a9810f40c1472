"""How a fleet is written to: a look at every account, one question, and the writes of several side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Required, TypedDict

from migrate.fleet.applying import (
    Planned,
    Saying,
    apply_account,
    look_at_plan,
    look_at_rollback,
    roll_back_account,
)
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.plans import Limits
from migrate.fleet.running import Account, Ended
from migrate.load.limits import MOST_SERVICES
from migrate.load.writing import NOTHING_WRITTEN, only_writer
from migrate.model.errors import MigrateError, RefusedError

if TYPE_CHECKING:
    from migrate.fleet.fleet import Fleet

Confirm = Callable[[Sequence[Planned]], bool]


class HowToWrite(TypedDict, total=False):
    """How an apply, or a rollback, of a fleet is limited and agreed to.

    `force` names the limits that are lifted, and `max_services` is how many services of one account may be changed.
    `on_look` gets what the look has found: what is refused is left alone. `confirm` is given the accounts that have
    something to write, once for all of them, or `one_by_one`; without its consent nothing is written. `say` hears of
    doubts, from any thread.
    """

    force: Collection[str]
    max_services: int
    confirm: Required[Confirm]
    one_by_one: bool
    on_look: Callable[[FleetResult], None]
    say: Callable[[str], None]


@dataclass
class _Shown:
    """What the look has found: plans with something to write, and how many there are where that is too many."""

    planned: dict[str, Planned] = field(default_factory=dict)
    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, one: Planned, most: int | None) -> None:
        """Keep a plan; none of so many that they are refused anyway."""
        with self.lock:
            self.number += 1
            if most is None or self.number <= most:
                self.planned[one.sid] = one


class Writing:
    """One apply, or one rollback, of a fleet. Nothing is written to an account but what was shown of it."""

    def __init__(
        self,
        fleet: Fleet,
        stage: str,
        *,
        force: Collection[str] = (),
        max_services: int = MOST_SERVICES,
        confirm: Confirm = lambda planned: False,
        one_by_one: bool = False,
        on_look: Callable[[FleetResult], None] = lambda looked: None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._fleet = fleet
        self._stage = stage
        self._limits = Limits(force, max_services)
        self._confirm = confirm
        self._asks_each = one_by_one
        self._on_look = on_look
        self._say = say

    def look(self) -> FleetResult:
        """What would be written; nothing is."""
        return self._look(_Shown(), self._fleet.options.max_accounts)

    def write(self) -> FleetResult:
        """Look, ask, and write. Raises as `Fleet.apply` does."""
        shown = _Shown()
        looked = self._look(shown, self._fleet.options.max_accounts)
        self._on_look(looked)
        others = {outcome.sid for outcome in self._fleet.left}
        before = {one.sid: one for one in looked.accounts if one.sid not in others}
        if shown.number > self._fleet.options.max_accounts:
            raise _too_many(shown.number, self._fleet.options.max_accounts)
        for sid in before.keys() - shown.planned.keys():
            self._fleet.note(self._stage, before[sid])
        accounts = [account for account in self._fleet.accounts if account.sid in shown.planned]
        if not accounts:
            return looked
        if self._asks_each:
            return self._one_by_one(accounts, shown, before)
        if self._confirm([shown.planned[account.sid] for account in accounts]) is not True:
            raise _not_confirmed()
        return self._write(accounts, shown, before)

    def _look(self, shown: _Shown, most: int) -> FleetResult:
        def job(account: Account) -> Ended:
            with self._fleet.open(account) as api:
                look = look_at_plan if self._stage == "apply" else look_at_rollback
                found = look(api, account.place, self._limits)
            if isinstance(found, Ended):
                return found
            plan, lifted = found
            shown.add(Planned(account.sid, account.friendly_name, plan, lifted), most)
            return Ended({"changes": len(plan.objects)}, exit_code=3)

        return self._fleet.each(self._stage, job, noted=False, stops=False)

    def _one_by_one(
        self, accounts: Sequence[Account], shown: _Shown, before: dict[str, AccountOutcome]
    ) -> FleetResult:
        """Ask for each account, and write it before the next is asked for."""
        most, failed = self._fleet.options.stop_after, 0
        for account in accounts:
            if most is not None and failed > most:
                reason = f"not begun: more than {most} accounts have failed"
                before[account.sid] = account.outcome("not-begun", 4, reason)
                continue
            try:
                agreed = self._confirm([shown.planned[account.sid]]) is True
                error: MigrateError = _not_confirmed()
            except RefusedError as refused:
                agreed, error = False, refused
            if not agreed:
                before[account.sid] = account.outcome("left-out", 4, error.what, error=error)
                self._fleet.note(self._stage, before[account.sid])
                continue
            result = self._write([account], shown, before)
            before |= {one.sid: one for one in result.accounts if one.sid in before}
            failed += before[account.sid].state == "failed"
        return self._fleet.each(self._stage, lambda account: Ended(), accounts=(), earlier=before)

    def _write(
        self,
        accounts: Sequence[Account],
        shown: _Shown,
        before: dict[str, AccountOutcome],
    ) -> FleetResult:
        def job(account: Account) -> Ended:
            plan_id = shown.planned.pop(account.sid).plan.plan_id
            saying = Saying(account.sid, self._say)
            act = apply_account if self._stage == "apply" else roll_back_account
            with self._fleet.open(account) as api, only_writer(api, saying.say):
                return act(api, account.place, plan_id, self._limits, saying)

        return self._fleet.each(self._stage, job, accounts=accounts, earlier=before)


def _too_many(number: int, most: int) -> RefusedError:
    return RefusedError(
        f"{number:,} accounts have something to write, more than {most:,}",
        kept=NOTHING_WRITTEN,
        remedy="Raise --max-accounts if you mean so many, or begin with a first wave: --only 5%",
    )


def _not_confirmed() -> RefusedError:
    return RefusedError(
        "Not applied: it was not confirmed",
        kept=NOTHING_WRITTEN,
        remedy="Pass `confirm`, a function that looks at what is to be done, and returns True if it may be",
    )
