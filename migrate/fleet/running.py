"""The accounts of a fleet side by side: what ends one does not end the others, and Ctrl-C ends all."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrate.fleet.outcome import AccountOutcome, State
from migrate.model.errors import AGAIN, InterruptedRunError, MigrateError, UsageError, place_of, reason_of
from migrate.model.text import count
from migrate.runtime.interrupts import is_stopping, resumable
from migrate.runtime.workers import Workers, result_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """An account that a stage is run for: its folder (None: the stage has none), and `login`, what is needed to open
    its API, which is `None` offline. `is_named` says that it was asked for by itself.
    """

    sid: str
    friendly_name: str
    status: str
    folder: Path | None
    login: Any = field(default=None, repr=False)
    is_named: bool = False

    @property
    def place(self) -> Path:
        """Its folder, where the stage has one."""
        if self.folder is None:
            raise UsageError("A fleet without a folder can only be diagnosed")
        return self.folder

    def outcome(self, state: State, exit_code: int = 0, reason: str = "", **others: Any) -> AccountOutcome:
        """What became of it."""
        return AccountOutcome(self.sid, self.friendly_name, self.status, state, exit_code, reason, **others)


@dataclass(frozen=True)
class Ended:
    """How a stage ended in an account. `error` makes it a failed one; `figures` have what was done all the same."""

    figures: Mapping[str, int | str] = field(default_factory=dict)
    state: State = "done"
    exit_code: int = 0
    reason: str = ""
    error: MigrateError | None = None
    detail: Any = None


Job = Callable[[Account], Ended]


class Round:
    """One stage over the accounts of a fleet. `note` gets each outcome as it is known, `details` what views need."""

    def __init__(
        self, job: Job, note: Callable[[AccountOutcome], None], stop_after: int | None = None, failed: int = 0
    ) -> None:
        self._job = job
        self._note = note
        self._stop_after = stop_after
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._failed = failed
        self._stopping = False
        self.outcomes: dict[str, AccountOutcome] = {}
        self.details: dict[str, Any] = {}

    def run(self, accounts: Sequence[Account], at_a_time: int, kept: str, *, looks: bool = False) -> None:
        """Do it for each, so many at a time. `kept` says where what was done is; one that `looks` finishes nothing.

        Raises `InterruptedRunError` on Ctrl-C, once all have stopped; every account has an outcome then, too.
        """

        def what() -> str:
            if looks:
                return "Interrupted while looking at the accounts"
            done = sum(self.outcomes[one.sid].state != "interrupted" for one in accounts if one.sid in self.outcomes)
            return f"Interrupted: {done:,} of {count(len(accounts), 'account')} finished"

        try:
            with resumable(what=what, kept=kept, remedy=("Resume with: ", AGAIN)):
                with Workers(at_a_time, "account", stop=self._stop) as workers:
                    for future in [workers.submit(self._do, account) for account in accounts]:
                        result_of(future)
                if any(outcome.state == "interrupted" for outcome in self.outcomes.values()):
                    raise InterruptedRunError("Interrupted")
        finally:
            for account in accounts:
                if account.sid not in self.outcomes:
                    is_begun = account.sid in self._begun
                    self._keep(account.outcome("interrupted" if is_begun else "not-begun", 130, "interrupted"))

    def _do(self, account: Account) -> None:
        """Do it for one account, whatever comes of it."""
        with self._lock:
            is_over = self._stop_after is not None and self._failed > self._stop_after
            if not is_over and not self._stopping and not is_stopping():
                self._begun.add(account.sid)
        if is_over:
            reason = f"not begun: more than {self._stop_after} accounts have failed"
            self._keep(account.outcome("not-begun", 4, reason))
        elif account.sid in self._begun:
            ended = self._ended(account)
            if ended.detail is not None:
                self.details[account.sid] = ended.detail
            self._keep(_outcome(account, ended))

    def _ended(self, account: Account) -> Ended:
        try:
            return self._job(account)
        except KeyboardInterrupt:
            return Ended(error=_interrupted())
        except Exception as error:
            # Once all are stopped, any error can be what a library has made of that.
            is_stopped = self._stopping or is_stopping()
            return Ended(error=_interrupted() if is_stopped else _told(error))

    def _stop(self) -> None:
        self._stopping = True

    def _keep(self, outcome: AccountOutcome) -> None:
        with self._lock:
            if outcome.sid in self.outcomes:
                return
            self.outcomes[outcome.sid] = outcome
            self._failed += outcome.state == "failed"
        self._note(outcome)


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError("Interrupted", remedy=("Resume with: ", AGAIN))


def _told(error: Exception) -> MigrateError:
    """What an account failed with, as it may be shown."""
    if isinstance(error, MigrateError):
        return error
    if isinstance(error, OSError):
        return MigrateError(f"Cannot use {place_of(error) or 'what it needs'}: {reason_of(error)}")
    return _unexpected(error)


def _outcome(account: Account, ended: Ended) -> AccountOutcome:
    error = ended.error
    if error is None:
        return account.outcome(ended.state, ended.exit_code, ended.reason, figures=ended.figures)
    slim(error)
    state: State = "interrupted" if isinstance(error, InterruptedRunError) else "failed"
    reason = ended.reason or " ".join(error.what.split())
    return account.outcome(state, error.exit_code, reason, error=error, figures=ended.figures)


def slim(error: MigrateError) -> None:
    """Let go of what an error holds beside its words: frames with rows, results, and what a library has said."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.result = None


def _unexpected(error: Exception) -> MigrateError:
    """The error for what no one expected. Its text is left out: it was not searched for secrets."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    logger.info("Unexpected %s: %s", name, " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames)))
    return MigrateError(f"Unexpected {name}, which is a mistake in this program; -v shows where")
