"""Retire: delete Chat's bindings of devices that are ready in Conversations, so that no phone is pushed twice.

A deleted binding cannot be brought back. So the evidence for each is read once more just before: a registration in
Conversations must be shown to give its device all that the binding does (`migrate.retire.replacement`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from pathlib import Path

from migrate.extract.progress import ExtractProgress
from migrate.load.limits import refuse
from migrate.load.rate_limit import Pace
from migrate.load.writing import Observer, Terms, account_lock
from migrate.map.rules import Rules
from migrate.model.errors import (
    AGAIN,
    InterruptedRunError,
    MigrateError,
    OtherAccountError,
    TransientTwilioError,
    TwilioError,
    also,
    reason_of,
)
from migrate.model.sids import is_binding_sid, is_service_sid
from migrate.retire.evidence import Row, read_binding, read_evidence
from migrate.retire.journal import Result, RetireJournal, held_retire_journal
from migrate.retire.limits import (
    MIN_READY,
    MOST_BINDINGS,
    NOTHING_DELETED,
    elsewhere,
    firm,
    refuse_where_pushes_are_off,
    violations,
)
from migrate.retire.replacement import why_needed
from migrate.retire.retirement import JOURNAL, Ending, Retired, Retiring
from migrate.retire.selection import Prepared, prepared
from migrate.runtime.interrupts import resumable
from migrate.runtime.workers import result_of
from migrate.snapshot.manifest import read_manifest
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.doubts import doubt_of_addresses, doubt_of_clock
from migrate.twilio_api.resources import binding_path
from migrate.verify.coverage import refuse_nothing, total

_AHEAD = 4  # bindings in hand for each request at a time


def retire_bindings(
    api: TwilioApi,
    snapshot: Path,
    coverage: Path,
    services: Collection[str] = (),
    *,
    journal: Path | None = None,
    dry_run: bool = False,
    force: Collection[str] = (),
    confirm: Callable[[Retiring], bool] | None = None,
    min_ready: float = MIN_READY,
    max_bindings: int = MOST_BINDINGS,
    rules: Rules | None = None,
    progress: ExtractProgress | None = None,
    observer: Observer[Retiring] | None = None,
) -> Retiring:
    """Delete Chat's bindings of devices that are ready in Conversations: of some services, or of all in a snapshot.

    It cannot be undone. With `dry_run` it only says what it would delete. `coverage` is the folder of
    `verify_snapshot`, which gets the numbers of this run, too. `journal` is the file that gets each delete,
    beside the snapshot unless it is named; the same call resumes. `force` lifts limits by their names, `min_ready` is
    in percent.
    `confirm` is given what is to be deleted just before the first delete; without its consent nothing is deleted.

    Raises what `prepared` raises, `RefusedError` beyond the limits, without a consent, or where there is nothing to
    wait for, and `InterruptedRunError` on Ctrl-C. Where some could not be deleted, it raises `PartlyAppliedError`, or
    `MigrateError` (none was), whose `result` is a `Retiring`.
    """
    journal = journal or journal_of(snapshot)
    terms = Terms(force, confirm, observer or Observer())
    if not dry_run:
        api.addresses.refuse_mixture()
        _refuse_beyond(elsewhere(read_manifest(snapshot), api), api, terms)
    with prepared(api, snapshot, coverage, journal, services, rules=rules, progress=progress) as found:
        looked = Retiring(found.retirement, found.journal.path)
        terms.warn(doubt_of_clock(api))
        terms.observer.begins(looked)
        counted = total(service.coverage for service in found.retirement.services)
        refuse_nothing(counted, kept=NOTHING_DELETED, services=services)
        if dry_run:
            return looked
        refuse_where_pushes_are_off(found.retirement)
        _refuse_beyond(violations(found.retirement, api, min_ready, max_bindings), api, terms)
        nothing = not found.retirement.deletions
        retired, kept = (Retired(), found.keep_coverage()) if nothing else _delete_all(api, found, looked, terms)
        done = Retiring(found.retirement, found.journal.path, retired, kept, found.rejected_beside(kept))
    if failure := done.failure():
        raise failure
    return done


def _refuse_beyond(violated: Iterable[tuple[str, str]], api: TwilioApi, terms: Terms[Retiring]) -> None:
    """Raise `RefusedError` beyond a limit that is not lifted; the observer hears of those that are."""
    terms.observer.lifts(refuse(violated, terms.force, firm(api), kept=NOTHING_DELETED))


def journal_of(snapshot: Path) -> Path:
    """Where the journal of a snapshot's retirement is, unless another place is named."""
    whole = snapshot.resolve()
    return whole.with_name(whole.name + JOURNAL)


def _delete_all(api: TwilioApi, found: Prepared, looked: Retiring, terms: Terms[Retiring]) -> tuple[Retired, Path]:
    """Delete what is to be deleted, alone in the account and with consent, each noted in the journal.

    Gives what became of it, and the file with the numbers of the verification, which exists with consent alone.
    """
    journal = found.journal
    with account_lock(api, terms.observer.say):
        terms.warn(doubt_of_addresses(api))
        terms.refuse_unless_confirmed(looked, NOTHING_DELETED)
        coverage = found.keep_coverage()
        api.reset_budget()
        kept, resume = f"What was deleted is in {journal.path}", ("Resume with: ", AGAIN)

        def what_is_done() -> str:
            return f"Interrupted: {len(journal.deleted):,} bindings are deleted"

        with held_retire_journal(journal):
            try:
                with resumable(what=what_is_done, kept=kept, remedy=resume):
                    return Retirer(api, journal).run(found.rows()), coverage
            except OtherAccountError as error:
                error.kept = kept
                raise
            except OSError as error:
                what = f"The journal cannot be written: {reason_of(error)}"
                raise MigrateError(what, kept=kept, remedy=also("Make space", resume)) from error


class Retirer:
    """Deletes bindings, several at a time; what is done is in the journal, whatever happens."""

    def __init__(self, api: TwilioApi, journal: RetireJournal) -> None:
        self._api = api
        self._journal = journal
        self._pace = Pace(api)

    def run(self, rows: Iterable[Row]) -> Retired:
        """Delete what may be deleted of these; one that fails does not stop the others.

        Raises `OSError` where the journal cannot be written, and `KeyboardInterrupt`; what was begun is settled
        first, as far as that can be seen in a moment, and else stays open in the journal.
        """
        retired, waiting = Retired(), deque[Future[Ending]]()
        most = self._api.throttle.most
        with self._api.workers(most, "retire") as workers:
            for row in rows:
                waiting.append(workers.submit(self._retire, row))
                if len(waiting) > most * _AHEAD:
                    retired.add(result_of(waiting.popleft()))
            while waiting:
                retired.add(result_of(waiting.popleft()))
        return retired

    def _retire(self, row: Row) -> Ending:
        try:
            return self._try(row)
        except InterruptedRunError:
            raise
        except TwilioError as error:
            return Ending("failed", failure=f"{row['sid']}: {error}")

    def _try(self, row: Row) -> Ending:
        """Judge, and delete; and judge again before each further attempt, for things change meanwhile."""
        sid, path = row["sid"], binding_path(row["service_sid"], row["sid"])
        if not (is_binding_sid(sid) and is_service_sid(row["service_sid"])):
            raise TwilioError("that is not a binding's SID, or not a service's, and so it is not asked for")

        def attempt() -> Ending:
            self._pace.wait()  # first: nothing comes between what is read and the delete
            left = self._judge(row)
            if left:
                return left
            self._journal.begin(sid)
            try:
                self._api.delete("chat", path)
            except TwilioError as error:  # done or not, by us or by somebody else: what is there shows it
                if read_binding(self._api, row)[0] is not None:
                    if not isinstance(error, TransientTwilioError):
                        self._settle(sid, "failed")
                    raise
            return Ending("deleted")

        ending = self._api.retry(attempt)  # where nothing can be seen it stays open, and is settled by the next run
        if ending.outcome == "gone" and sid in self._journal.begun:
            ending = Ending("deleted")  # it had arrived, and its answer was lost
        self._settle(sid, "deleted" if ending.outcome == "deleted" else "failed")
        return ending

    def _judge(self, row: Row) -> Ending | None:
        """Why a binding must not be deleted as things are now; None if its registration replaces it."""
        evidence = read_evidence(self._api, row)
        if evidence is None:
            return Ending("gone")
        needed = why_needed(evidence)
        return Ending(needed.outcome, needed.name) if needed else None

    def _settle(self, sid: str, result: Result) -> None:
        if sid in self._journal.begun:
            self._journal.end(sid, result)
