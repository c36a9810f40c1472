"""A fleet: the stages of the single commands for many accounts, each in its own folder, side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from migrate.fleet.accounts import Accounts, enter
from migrate.fleet.accounts import FleetOptions as FleetOptions
from migrate.fleet.blocks import BlockCount
from migrate.fleet.choosing import choose, main_of
from migrate.fleet.folder import FleetFolder, read_fleet, reviewed_in
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.plans import Limits, figures_of, finished_plan, judged, plan_account, said_of
from migrate.fleet.progress import FleetProgress
from migrate.fleet.running import Account, Ended
from migrate.fleet.stages_after import (
    DiffKind,
    diff_account,
    doctor_account,
    health_account,
    rehearse_account,
    verify_account,
)
from migrate.fleet.stages_reading import MAPPED, SNAPSHOT, OnPlan, extract_account, map_account
from migrate.fleet.stages_reading import Mapping as HowToMap
from migrate.fleet.writing import HowToWrite, Writing
from migrate.load.limits import MOST_SERVICES
from migrate.model.errors import UsageError
from migrate.runtime.workers import Workers

if TYPE_CHECKING:
    from migrate.extract.extraction import ExtractOptions
    from migrate.map.rules import Rules
    from migrate.push_errors.measuring import HealthOptions
    from migrate.twilio_api.accounts import AccountChoice
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

_OFFLINE = min(4, os.cpu_count() or 1)  # accounts that are mapped at a time


@contextmanager
def open_fleet(
    settings: ApiSettings,
    choice: AccountChoice,
    folder: Path | None,
    options: FleetOptions | None = None,
    progress: FleetProgress | None = None,
    *,
    may_be_new: bool = True,
) -> Iterator[Fleet]:
    """The fleet of the accounts that are asked for at Twilio, in a folder that it holds meanwhile (None: no folder,
    for `doctor`). The folder is made where it is not there, if it `may_be_new`.

    Raises what `choose_accounts` raises, `RefusedError` for another fleet's folder or one that another process works
    in, `InputError` for a damaged or missing fleet.json, and `UsageError` for an invalid wave.
    """
    from migrate.twilio_api.accounts import choose_accounts
    from migrate.twilio_api.connect import open_shared

    options = options or FleetOptions()
    if folder is not None and not may_be_new:
        read_fleet(folder)  # before Twilio is asked
    found = choose_accounts(settings, choice)
    accounts, left = choose(found, choice, folder, options.only)
    with open_shared(settings) as apis:
        if folder is None:
            yield Fleet(accounts, left, None, options, progress, apis, settings)
            return
        with FleetFolder.held(folder, main_of(settings, found), may_be_new=may_be_new) as held:
            fleet = Fleet(accounts, left, held, options, progress, apis, settings)
            held.write()  # a fleet that is killed at once is one
            yield fleet


def offline_fleet(
    folder: Path,
    sids: Collection[str] = (),
    options: FleetOptions | None = None,
    progress: FleetProgress | None = None,
    *,
    every: bool = False,
) -> Fleet:
    """The fleet whose accounts a folder names, or, if not `every` one, those that are named, without Twilio.

    Raises `InputError` for another folder and for an account that is not in it.
    """
    from migrate.fleet.choosing import choose_offline

    options = options or FleetOptions()
    manifest = read_fleet(folder)
    accounts, left = choose_offline(manifest, folder, sids, options.only, every=every)
    return Fleet(accounts, left, FleetFolder(folder, manifest), options, progress)


class Fleet(Accounts):
    """The accounts of a fleet. Each method is a stage, and gives what became of each account; the failure of one, of
    whatever kind, does not end the others.

    What concerns the whole fleet is raised: `InterruptedRunError` on Ctrl-C, whose `result` is the `FleetResult` so
    far; the same call resumes.
    """

    def extract(self, options: ExtractOptions) -> FleetResult:
        """A snapshot of each account; one that is finished stays, one that is not resumes."""

        def job(account: Account) -> Ended:
            with self.open(account) as api:
                return extract_account(api, account.place, options, self.progress.of(account.sid))[1]

        return self.each("extract", job)

    def map(
        self,
        out: Path | None = None,
        rules: Rules | None = None,
        like: Path | None = None,
        *,
        overwrite: bool = False,
        executor: Executor | None = None,
    ) -> FleetResult:
        """A mapped folder of each snapshot, in this folder or another fleet's `out`. It stays offline.

        `like` is the folder of a fleet whose reviewed mapped folders carry over their rules and edits. All accounts
        share the `executor`, or else a few threads of this process; so it is for other stages.
        """
        how = HowToMap(rules, like, overwrite, executor)
        if out is None or self.path is None or out.resolve() == self.path.resolve():
            with self._held() as fleet:
                return fleet._map(fleet.path or Path(), how)
        with FleetFolder.held(out, self._folder.manifest.main_account_sid if self._folder else None) as other:
            enter(other, self.accounts, self.left)
            return self._map(out, how, other)

    def _map(self, out: Path, how: HowToMap, notes: FleetFolder | None = None) -> FleetResult:
        reviewed = self._reviewed_in(how.like)
        with _mappers(how.executor) as executor:
            how = replace(how, executor=executor, reviewed=reviewed)

            def job(account: Account) -> Ended:
                return map_account(account.sid, account.place / SNAPSHOT, out / account.sid / MAPPED, how)[1]

            return self.each("map", job, at_a_time=_OFFLINE, notes=notes)

    def run(
        self,
        options: ExtractOptions,
        rules: Rules | None = None,
        like: Path | None = None,
        *,
        on_plan: OnPlan = lambda sid, folder, plan, refusals: None,
        executor: Executor | None = None,
    ) -> FleetResult:
        """Extract, map and plan each account; nothing is written to Twilio, and what is finished is not done again.

        `on_plan` gets each plan as soon as it is made, from any thread, to write its reports: it is not kept.
        """
        reviewed = self._reviewed_in(like)
        mapping, blocks = threading.Semaphore(_OFFLINE), BlockCount()
        with _mappers(executor) as mappers:
            how = HowToMap(rules, like, executor=mappers, reviewed=reviewed)

            def job(account: Account) -> Ended:
                folder = account.place
                with self.open(account) as api:
                    _, extracted = extract_account(api, folder, options, self.progress.of(account.sid))
                    with mapping:
                        _, mapped = map_account(account.sid, folder / SNAPSHOT, folder / MAPPED, how)
                    is_earlier = extracted.state == mapped.state == "earlier"
                    if is_earlier and (plan := finished_plan(folder)) is not None:
                        refusals = judged(api, plan, Limits())
                        blocks.add(account.sid, plan, refusals)
                        pending = 3 if plan.objects else 0
                        return Ended(figures_of(plan, refusals), "earlier", pending, said_of(refusals))
                    ended = self._plan(api, account, Limits(), on_plan, blocks)
                    return replace(ended, reason="; ".join(filter(None, (mapped.reason, ended.reason))))

            return self.each("run", job, blocks=blocks)

    def plan(
        self,
        *,
        force: Collection[str] = (),
        max_services: int = MOST_SERVICES,
        on_plan: OnPlan = lambda sid, folder, plan, refusals: None,
    ) -> FleetResult:
        """A dry run of each account, saved as its plan; nothing is written to Twilio. `on_plan` is as for `run`."""
        limits, blocks = Limits(force, max_services), BlockCount()

        def job(account: Account) -> Ended:
            with self.open(account) as api:
                return self._plan(api, account, limits, on_plan, blocks)

        return self.each("plan", job, blocks=blocks, needs_folder=True)

    def _plan(self, api: TwilioApi, account: Account, limits: Limits, on_plan: OnPlan, blocks: BlockCount) -> Ended:
        plan, refusals, ended = plan_account(api, account.place, limits)
        blocks.add(account.sid, plan, refusals)
        if ended.error is None and ended.state == "done" and not ended.reason.startswith("its plan"):
            on_plan(account.sid, account.place, plan, refusals)
        return ended

    def apply(self, **how: Unpack[HowToWrite]) -> FleetResult:
        """Apply the saved plan of each account, with its own journal, after a look at all; see `HowToWrite`.

        Raises `RefusedError` without a consent for all, and for more accounts than `max_accounts`.
        """
        return Writing(self, "apply", **how).write()

    def rollback(self, **how: Unpack[HowToWrite]) -> FleetResult:
        """Undo each account's newest journal, where nothing has changed since. The rest is as for `apply`."""
        return Writing(self, "rollback", **how).write()

    def rollback_look(self, *, force: Collection[str] = (), max_services: int = MOST_SERVICES) -> FleetResult:
        """What a rollback of each account would write; nothing is written."""
        return Writing(self, "rollback", force=force, max_services=max_services).look()

    def verify(
        self, rules: Rules | None = None, *, fail_under: float | None = None, executor: Executor | None = None
    ) -> FleetResult:
        """Who has registered in each account by now; a run is added to its coverage."""
        from migrate.snapshot.manifest import read_manifest

        with _mappers(executor) as comparers:

            def job(account: Account) -> Ended:
                expected = read_manifest(account.place / SNAPSHOT).rows_by_service
                progress = self.progress.of(account.sid, expected)
                with self.open(account) as api:
                    return verify_account(api, account.place, rules, fail_under, progress, comparers)

            return self.each("verify", job, needs_folder=True)

    def health(self, options: HealthOptions, *, fail_over: float | None = None) -> FleetResult:
        """Which pushes were refused in each account; a run is added to its health folder."""

        def job(account: Account) -> Ended:
            with self.open(account) as api:
                return health_account(api, account.place, options, fail_over, self.progress.of(account.sid))

        return self.each("health", job)

    def rehearse(self, **how: Any) -> FleetResult:
        """Rehearse the load of each account, one after the other; `how` is as for `rehearse_load`. Offline."""
        with self._held() as fleet:
            return fleet.each(
                "rehearse", lambda account: rehearse_account(account.sid, account.place, how), at_a_time=1
            )

    def doctor(self) -> FleetResult:
        """Check each account's credentials, and what Twilio lets them do. `details` has its checks."""

        def job(account: Account) -> Ended:
            with self.open(account):  # which says so where it has no token
                pass
            if self._settings is None:
                raise UsageError("An offline fleet asks Twilio nothing")
            return doctor_account(self._settings, account.login.login, Path.cwd())

        return self.each("doctor", job)

    def diff(self, other: Path, of: DiffKind = "mapped", *, executor: Executor | None = None) -> FleetResult:
        """What has changed in each account from this folder to another fleet's. Offline."""
        there = read_fleet(other)
        known = self._sids
        new = [
            AccountOutcome(sid, one.friendly_name, one.status, "left-out", 3, f"only {other} has it")
            for sid, one in there.accounts.items()
            if sid not in known and not self.is_narrowed
        ]

        left = [self._lacking(one, other) for one in self.left]

        def job(account: Account) -> Ended:
            return diff_account(account.sid, account.place, other / account.sid, of, executor)

        return self.each("diff", job, at_a_time=_OFFLINE, left=(*left, *new), noted=False)

    def whole(self, result: FleetResult) -> FleetResult:
        """A result of some accounts with those of the rest of the fleet, for a report."""
        from migrate.fleet.whole import of_whole_fleet

        folder = self._folder
        return of_whole_fleet(result, folder.manifest, folder.path) if folder else result

    def _reviewed_in(self, like: Path | None) -> frozenset[str]:
        if like is None:
            return frozenset()
        main = self._folder.manifest.main_account_sid if self._folder else None
        return reviewed_in(like, [account.sid for account in self.accounts], main)

    def _lacking(self, outcome: AccountOutcome, other: Path) -> AccountOutcome:
        """What a comparison says of an account without a folder here: it differs where the other fleet has one."""
        if outcome.state != "failed":
            return outcome
        return replace(outcome, state="left-out", exit_code=3 if (other / outcome.sid).is_dir() else 0)


def _mappers(executor: Executor | None) -> AbstractContextManager[Executor]:
    """What maps, and compares, for all accounts together: an executor that is the caller's, or threads."""
    return nullcontext(executor) if executor else Workers(os.cpu_count() or 1, "map")
