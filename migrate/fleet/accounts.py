"""What every stage of a fleet is run with: its accounts, its folder, and how each stage goes over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from migrate.fleet.blocks import BlockCount
from migrate.fleet.choosing import without_folder
from migrate.fleet.folder import FleetFolder
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.progress import FleetProgress
from migrate.fleet.running import Account, Job, Round
from migrate.load.writing import NOTHING_WRITTEN
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
    def is_of_file_alone(self) -> bool:
        """Whether no main account was ever asked for its accounts: a file names them, with a key of each."""
        return self._folder is not None and self._folder.manifest.main_account_sid is None

    @property
    def is_narrowed(self) -> bool:
        """Whether it has fewer accounts than its folder names."""
        return self._folder is not None and not self._sids >= self._folder.manifest.accounts.keys()

    @property
    def _sids(self) -> set[str]:
        return {account.sid for account in self.accounts} | {outcome.sid for outcome in self.left}

    def _without_folder(self, account: Account) -> AccountOutcome:
        records = self._folder.manifest.accounts if self._folder else {}
        return without_folder(account, records.get(account.sid))

    def has_written(self, sid: str) -> bool:
        """Whether fleet.json says that an apply has written to an account, and no rollback has undone it since."""
        records = self._folder.manifest.accounts if self._folder else {}
        return sid in records and records[sid].written

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
        looks: bool = False,
        needs_folder: bool = False,
        failed: int = 0,
    ) -> FleetResult:
        """Do a stage for each account, or some, and give what became of all; `earlier` are outcomes of the others.

        One that only `looks` is not noted, and no stopping rule holds; `failed` counts for it from the beginning.
        One that `needs_folder` is not for accounts without.
        """
        folder = (notes or self._folder) if noted and not looks else None

        if folder:
            for outcome in self.left:
                if outcome.exit_code:  # somebody should know, also later
                    folder.note(stage, outcome)

        def note(outcome: AccountOutcome) -> None:
            self.progress.done(outcome.sid)
            if folder:
                folder.note(stage, outcome)

        work = Round(job, note, None if looks else self.options.stop_after, failed)
        every = self.accounts if accounts is None else accounts
        lacking = [account for account in every if needs_folder and not account.place.is_dir()]
        every = [account for account in every if account not in lacking]
        others = [*(self.left if left is None else left), *map(self._without_folder, lacking)]
        kept = f"What was done is kept in {self.path}" if self.path else ""
        self.progress.expect([account.sid for account in every])

        def result() -> FleetResult:
            found = {**(earlier or {}), **work.outcomes}
            outcomes = sorted((*others, *found.values()), key=lambda one: one.sid)
            shown = notes.path if notes else self.path
            return FleetResult(stage, shown, tuple(outcomes), work.details, blocks.blocks() if blocks else ())

        try:
            most = min(at_a_time or self.options.at_a_time, max(1, len(every)))
            work.run(every, most, NOTHING_WRITTEN if looks else kept, looks=looks)
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
