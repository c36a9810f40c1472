"""What every stage of a fleet is run with: its accounts, its folder, and how each stage goes over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from migrate.fleet.blocks import BlockCount
from migrate.fleet.folder import FleetFolder
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.progress import FleetProgress
from migrate.fleet.running import Account, Job, Round
from migrate.model.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings

MOST_ACCOUNTS = 50
AT_A_TIME = 16


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


class Accounts:
    """The accounts of a fleet, those that are `left` with the reason, and what opens and keeps them."""

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
            enter(folder, accounts, left)

    @property
    def path(self) -> Path | None:
        """The fleet's folder."""
        return self._folder.path if self._folder else None

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
    def _held(self) -> Iterator[Self]:
        """The same fleet with its folder held, where it was only read so far."""
        if self._apis is not None or self._folder is None:
            yield self
            return
        with FleetFolder.held(self._folder.path) as held:
            yield type(self)(self.accounts, self.left, held, self.options, self.progress)

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
    ) -> FleetResult:
        """Do a stage for each account, or some, and give what became of all; `earlier` are outcomes of the others.

        `stops` says whether the stopping rule holds.
        """
        folder = (notes or self._folder) if noted else None

        def note(outcome: AccountOutcome) -> None:
            self.progress.done(outcome.sid)
            if folder:
                folder.note(stage, outcome)

        work = Round(job, note, self.options.stop_after if stops else None)
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


def enter(folder: FleetFolder, accounts: Sequence[Account], left: Sequence[AccountOutcome]) -> None:
    """Note the accounts in a folder."""
    for account in accounts:
        folder.enter(account.sid, account.friendly_name, account.status)
    for outcome in left:
        folder.enter(outcome.sid, outcome.friendly_name, outcome.status)
