"""A fleet: the stages of the single commands for many accounts, each in its own folder, side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from migrate.fleet.applying import Planned
from migrate.fleet.blocks import BlockCount
from migrate.fleet.choosing import choose, main_of
from migrate.fleet.folder import FleetFolder, read_fleet
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.plans import Limits, figures_of, finished_plan, plan_account
from migrate.fleet.progress import FleetProgress
from migrate.fleet.running import Account, Ended, Job, Round
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
from migrate.fleet.writing import Writing
from migrate.load.limits import MOST_SERVICES
from migrate.model.errors import InterruptedRunError, UsageError
from migrate.runtime.workers import Workers

if TYPE_CHECKING:
    from migrate.extract.extraction import ExtractOptions
    from migrate.map.rules import Rules
    from migrate.push_errors.measuring import HealthOptions
    from migrate.twilio_api.accounts import AccountChoice
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

MOST_ACCOUNTS = 50
AT_A_TIME = 16
_OFFLINE = min(4, os.cpu_count() or 1)  # accounts that are mapped at a time


@dataclass(frozen=True)
class FleetOptions:
    """How a fleet is worked on.

    `only` is a first wave, a number (`20`) or a share (`5%`) of the accounts; see `wave_of`. No account is begun once
    more than `stop_after` have failed. More than `max_accounts` accounts with something to write are refused.
    `at_a_time` is how many accounts are worked on at a time.
    """

    only: str | None = None
    stop_after: int | None = None
    max_accounts: int = MOST_ACCOUNTS
    at_a_time: int = AT_A_TIME


class Apis(Protocol):
    """What opens the API of one account; see `open_shared`."""

    def open(self, account: Any) -> AbstractContextManager[TwilioApi]:
        """The API of an account."""
        ...


@contextmanager
def open_fleet(
    settings: ApiSettings,
    choice: AccountChoice,
    folder: Path | None,
    options: FleetOptions | None = None,
    progress: FleetProgress | None = None,
) -> Iterator[Fleet]:
    """The fleet of the accounts that are asked for at Twilio, in a folder that it holds meanwhile (None: no folder,
    for `doctor`).

    Raises what `choose_accounts` raises, `RefusedError` for another fleet's folder or one that another process works
    in, `InputError` for a damaged fleet.json, and `UsageError` for a wave that is none.
    """
    from migrate.twilio_api.accounts import choose_accounts
    from migrate.twilio_api.connect import open_shared

    options = options or FleetOptions()
    found = choose_accounts(settings, choice)
    accounts, left = choose(found, choice, folder, options.only)
    with open_shared(settings) as apis:
        if folder is None:
            yield Fleet(accounts, left, None, options, progress, apis, settings)
            return
        with FleetFolder.held(folder, main_of(settings, found)) as held:
            fleet = Fleet(accounts, left, held, options, progress, apis, settings)
            held.write()  # a fleet that is killed at once is one
            yield fleet


def offline_fleet(
    folder: Path,
    sids: Collection[str] = (),
    options: FleetOptions | None = None,
    progress: FleetProgress | None = None,
) -> Fleet:
    """The fleet whose accounts a folder names, or some of them, without Twilio.

    Raises `InputError` for another folder and for an account that is not in it.
    """
    from migrate.fleet.choosing import choose_offline

    options = options or FleetOptions()
    manifest = read_fleet(folder)
    accounts, left = choose_offline(manifest, folder, sids, options.only)
    return Fleet(accounts, left, FleetFolder(folder, manifest), options, progress)


class Fleet:
    """The accounts of a fleet. Each method is a stage, and gives what became of each account; the failure of one, of
    whatever kind, does not end the others.

    What concerns the whole fleet is raised: `InterruptedRunError` on Ctrl-C, whose `result` is the `FleetResult` so
    far; the same call resumes.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        left: Sequence[AccountOutcome] = (),
        folder: FleetFolder | None = None,
        options: FleetOptions | None = None,
        progress: FleetProgress | None = None,
        apis: Apis | None = None,
        settings: ApiSettings | None = None,
    ) -> None:
        self.accounts = accounts
        self.left = left
        self.options = options or FleetOptions()
        self.progress = progress or FleetProgress()
        self._folder = folder
        self._apis = apis
        self._settings = settings
        if folder:
            _enter(folder, accounts, left)

    @property
    def path(self) -> Path | None:
        """The fleet's folder."""
        return self._folder.path if self._folder else None

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
    ) -> FleetResult:
        """A mapped folder of each snapshot, in this folder or another fleet's `out`. It stays offline.

        `like` is the folder of a fleet whose reviewed mapped folders carry over their rules and edits.
        """
        if out is None or self.path is None or out.resolve() == self.path.resolve():
            with self._held() as fleet:
                return fleet._map(fleet.path or Path(), rules, like, overwrite=overwrite)
        with FleetFolder.held(out, self._folder.manifest.main_account_sid if self._folder else None) as other:
            _enter(other, self.accounts, self.left)
            return self._map(out, rules, like, overwrite=overwrite, notes=other)

    def _map(
        self,
        out: Path,
        rules: Rules | None,
        like: Path | None,
        *,
        overwrite: bool,
        notes: FleetFolder | None = None,
    ) -> FleetResult:
        with _mappers() as executor:
            how = HowToMap(rules, like, overwrite, executor)

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
    ) -> FleetResult:
        """Extract, map and plan each account; nothing is written to Twilio, and what is finished is not done again.

        `on_plan` gets each plan as soon as it is made, from any thread, to write its reports: it is not kept.
        """
        mapping, blocks = threading.Semaphore(_OFFLINE), BlockCount()
        with _mappers() as executor:
            how = HowToMap(rules, like, executor=executor)

            def job(account: Account) -> Ended:
                folder = account.place
                with self.open(account) as api:
                    _, extracted = extract_account(api, folder, options, self.progress.of(account.sid))
                    with mapping:
                        _, mapped = map_account(account.sid, folder / SNAPSHOT, folder / MAPPED, how)
                    is_earlier = extracted.state == mapped.state == "earlier"
                    if is_earlier and (plan := finished_plan(folder)) is not None:
                        blocks.add(account.sid, plan, ())
                        return Ended(figures_of(plan, ()), "earlier", 3 if plan.objects else 0)
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

        return self.each("plan", job, blocks=blocks)

    def _plan(self, api: TwilioApi, account: Account, limits: Limits, on_plan: OnPlan, blocks: BlockCount) -> Ended:
        plan, refusals, ended = plan_account(api, account.place, limits)
        blocks.add(account.sid, plan, refusals)
        if ended.error is None and ended.state == "done" and not ended.reason.startswith("its plan"):
            on_plan(account.sid, account.place, plan, refusals)
        return ended

    def apply(
        self,
        *,
        force: Collection[str] = (),
        max_services: int = MOST_SERVICES,
        confirm: Callable[[Sequence[Planned]], bool],
        one_by_one: bool = False,
        on_look: Callable[[FleetResult], None] = lambda looked: None,
        say: Callable[[str], None] = lambda message: None,
    ) -> FleetResult:
        """Apply the saved plan of each account, with its own journal, after a look at all.

        `on_look` gets what the look has found: what is refused is left alone. `confirm` is given the accounts that
        have something to write, once for all of them, or `one_by_one`; without its consent nothing is written. `say`
        hears of doubts, from any thread. Raises `RefusedError` without a consent for all, and for more accounts than
        `max_accounts`.
        """
        writing = Writing(self, "apply", Limits(force, max_services), confirm, say)
        return writing.write(one_by_one=one_by_one, on_look=on_look)

    def rollback_look(self, *, force: Collection[str] = (), max_services: int = MOST_SERVICES) -> FleetResult:
        """What a rollback of each account would write; nothing is written."""
        return Writing(self, "rollback", Limits(force, max_services)).look()

    def rollback(
        self,
        *,
        force: Collection[str] = (),
        max_services: int = MOST_SERVICES,
        confirm: Callable[[Sequence[Planned]], bool],
        one_by_one: bool = False,
        on_look: Callable[[FleetResult], None] = lambda looked: None,
        say: Callable[[str], None] = lambda message: None,
    ) -> FleetResult:
        """Undo each account's newest journal, where nothing has changed since. The rest is as for `apply`."""
        writing = Writing(self, "rollback", Limits(force, max_services), confirm, say)
        return writing.write(one_by_one=one_by_one, on_look=on_look)

    def verify(self, rules: Rules | None = None, *, fail_under: float | None = None) -> FleetResult:
        """Who has registered in each account by now; a run is added to its coverage."""
        from migrate.snapshot.manifest import read_manifest

        with _mappers() as executor:

            def job(account: Account) -> Ended:
                expected = read_manifest(account.place / SNAPSHOT).rows_by_service
                progress = self.progress.of(account.sid, expected)
                with self.open(account) as api:
                    return verify_account(api, account.place, rules, fail_under, progress, executor)

            return self.each("verify", job)

    def health(self, options: HealthOptions, *, fail_over: float | None = None) -> FleetResult:
        """Which pushes were refused in each account; a run is added to its health folder."""

        def job(account: Account) -> Ended:
            with self.open(account) as api:
                return health_account(api, account.place, options, fail_over, self.progress.of(account.sid))

        return self.each("health", job)

    def rehearse(self, **how: Any) -> FleetResult:
        """Rehearse the load of each account, one after the other; `how` is as for `rehearse_load`. Offline."""
        with self._held() as fleet:
            return fleet.each("rehearse", lambda account: rehearse_account(account.place, how), at_a_time=1)

    def doctor(self) -> FleetResult:
        """Check each account's credentials, and what Twilio lets them do. `details` has its checks."""

        def job(account: Account) -> Ended:
            with self.open(account):  # which says so where it has no token
                pass
            if self._settings is None:
                raise UsageError("An offline fleet asks Twilio nothing")
            return doctor_account(self._settings, account.login.login, Path.cwd())

        return self.each("doctor", job)

    def diff(self, other: Path, of: DiffKind = "mapped") -> FleetResult:
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
            return diff_account(account.place, other / account.sid, of)

        return self.each("diff", job, at_a_time=_OFFLINE, left=(*left, *new), noted=False)

    def _lacking(self, outcome: AccountOutcome, other: Path) -> AccountOutcome:
        """What a comparison says of an account without a folder here: it differs where the other fleet has one."""
        if outcome.state != "failed":
            return outcome
        return replace(outcome, state="left-out", exit_code=3 if (other / outcome.sid).is_dir() else 0)

    @property
    def is_narrowed(self) -> bool:
        """Whether it has fewer accounts than its folder names."""
        return self._folder is not None and not self._sids >= self._folder.manifest.accounts.keys()

    @property
    def _sids(self) -> set[str]:
        return {account.sid for account in self.accounts} | {outcome.sid for outcome in self.left}

    def note(self, stage: str, outcome: AccountOutcome) -> None:
        """Have fleet.json say what became of an account."""
        if self._folder:
            self._folder.note(stage, outcome)

    def open(self, account: Account) -> AbstractContextManager[TwilioApi]:
        """The API of an account. Raises what the opening of it does, such as where Twilio does not show its token."""
        if self._apis is None:
            raise UsageError("An offline fleet asks Twilio nothing")
        return self._apis.open(account.login)

    @contextmanager
    def _held(self) -> Iterator[Fleet]:
        """The same fleet with its folder held, where it was only read so far."""
        if self._apis is not None or self._folder is None:
            yield self
            return
        with FleetFolder.held(self._folder.path) as held:
            yield Fleet(self.accounts, self.left, held, self.options, self.progress)

    def each(
        self,
        stage: str,
        job: Job,
        *,
        at_a_time: int | None = None,
        blocks: BlockCount | None = None,
        left: Sequence[AccountOutcome] | None = None,
        notes: FleetFolder | None = None,
        noted: bool = True,
        accounts: Sequence[Account] | None = None,
        earlier: Mapping[str, AccountOutcome] | None = None,
        stops: bool = True,
        failed: int = 0,
    ) -> FleetResult:
        """Do a stage for each account, or some, and give what became of all; `earlier` are outcomes of the others.

        `stops` says whether the stopping rule holds, and `failed` how many have failed before.
        """
        folder = (notes or self._folder) if noted else None

        def note(outcome: AccountOutcome) -> None:
            self.progress.done(outcome.sid)
            if folder:
                folder.note(stage, outcome)

        work = Round(job, note, self.options.stop_after if stops else None, failed)
        every = self.accounts if accounts is None else accounts
        where = f"What was done is kept in {self.path}" if self.path else ""

        def result() -> FleetResult:
            found = {**(earlier or {}), **work.outcomes}
            others = self.left if left is None else left
            outcomes = sorted((*others, *found.values()), key=lambda one: one.sid)
            shown = notes.path if notes else self.path
            return FleetResult(stage, shown, tuple(outcomes), work.details, blocks.blocks() if blocks else ())

        try:
            work.run(every, min(at_a_time or self.options.at_a_time, max(1, len(every))), where)
        except InterruptedRunError as error:
            error.result = result()
            raise
        return result()


def _enter(folder: FleetFolder, accounts: Sequence[Account], left: Sequence[AccountOutcome]) -> None:
    """Note the accounts in a folder."""
    for account in accounts:
        folder.enter(account.sid, account.friendly_name, account.status)
    for outcome in left:
        folder.enter(outcome.sid, outcome.friendly_name, outcome.status)


def _mappers() -> Workers:
    """The threads that map, and compare, for all accounts together."""
    return Workers(os.cpu_count() or 1, "map")
