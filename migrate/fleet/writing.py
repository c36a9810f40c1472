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
from migrate.model.errors import AGAIN, InterruptedRunError, MigrateError, RefusedError

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
        self._failed = 0  # accounts, in the look, and one by one

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
        self._refuse_many_failures(looked)
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

    def _refuse_many_failures(self, looked: FleetResult) -> None:
        """Raise `RefusedError` where the look alone has failed in more accounts than the stopping rule allows."""
        most = self._fleet.options.stop_after
        asked = {account.sid for account in self._fleet.accounts if account.place.is_dir()}
        self._failed = sum(
            one.sid in asked and one.state == "failed" and one.exit_code == 1 for one in looked.accounts
        )
        if most is not None and self._failed > most:
            error = RefusedError(
                f"{self._failed:,} accounts could not be looked at, more than the {most:,} that may fail",
                kept=NOTHING_WRITTEN,
                remedy="Look again once they answer; or raise --stop-after, or name the others with --account",
            )
            error.result = looked
            raise error

    def _look(self, shown: _Shown, most: int) -> FleetResult:
        def job(account: Account) -> Ended:
            with self._fleet.open(account) as api:
                look = look_at_plan if self._stage == "apply" else look_at_rollback
                found = look(api, account.place, self._limits)
            if isinstance(found, Ended):
                self._refuse_lost(account, found)
                return found
            plan, lifted = found
            shown.add(Planned(account.sid, account.friendly_name, plan, lifted), most)
            return Ended({"changes": len(plan.objects)}, exit_code=3)

        return self._fleet.each(self._stage, job, looks=True, needs_folder=True)

    def _refuse_lost(self, account: Account, found: Ended) -> None:
        """Raise `RefusedError` where nothing is found to undo, and fleet.json says that something was written."""
        if found.state == "left-out" and self._stage == "rollback" and self._fleet.has_written(account.sid):
            raise RefusedError(
                f"fleet.json says that {account.sid} was written to, and no journal of that is in {account.place}",
                kept=NOTHING_WRITTEN,
                remedy="Put the journal back: without it no one knows what was there before",
            )

    def _one_by_one(
        self, accounts: Sequence[Account], shown: _Shown, before: dict[str, AccountOutcome]
    ) -> FleetResult:
        """Ask for each account, and write it before the next is asked for. What an interruption ends with has what
        was written until then.
        """
        for number, account in enumerate(accounts):
            try:
                outcome = self._asked_and_written(account, shown, before)
            except InterruptedRunError as error:
                written = accounts[:number]
                if isinstance(error.result, FleetResult):
                    before |= {one.sid: one for one in error.result.accounts if one.sid == account.sid}
                    written = accounts[: number + 1]
                what = f"Interrupted at account {number + 1:,} of {len(accounts):,}"
                kept = f"What was written is kept in {self._fleet.path}" if written else NOTHING_WRITTEN
                raised = InterruptedRunError(what, kept=kept, remedy=("Resume with: ", AGAIN))
                raised.result = self._result(before)
                raise raised from None
            before[account.sid] = outcome
        return self._result(before)

    def _asked_and_written(
        self, account: Account, shown: _Shown, before: dict[str, AccountOutcome]
    ) -> AccountOutcome:
        """Ask for an account, and write it if that was agreed to and not too many have failed."""
        most = self._fleet.options.stop_after
        if most is not None and self._failed > most:
            return account.outcome("not-begun", 4, f"not begun: more than {most} accounts have failed")
        try:
            agreed = self._confirm([shown.planned[account.sid]]) is True
            error: MigrateError = _not_confirmed()
        except RefusedError as refused:
            agreed, error = False, refused
        if not agreed:
            left = account.outcome("left-out", 4, error.what, error=error)
            self._fleet.note(self._stage, left)
            return left
        result = self._write([account], shown, before)
        outcome = next(one for one in result.accounts if one.sid == account.sid)
        self._failed += outcome.state == "failed"
        return outcome

    def _result(self, outcomes: dict[str, AccountOutcome]) -> FleetResult:
        return self._fleet.each(self._stage, lambda account: Ended(), accounts=(), earlier=outcomes)

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

        return self._fleet.each(self._stage, job, accounts=accounts, earlier=before, failed=self._failed)


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
