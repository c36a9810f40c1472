"""Retire: delete Chat's bindings of devices that are ready in Conversations, so that no phone is pushed twice.

A deleted binding cannot be brought back. So the evidence for each is read once more just before: a registration in
Conversations must be shown to give its device all that the binding does (`migrate.retire.replacement`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future

from migrate.load.rate_limit import Pace
from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.model.sids import is_binding_sid, is_service_sid
from migrate.retire.evidence import Row, read_binding, read_evidence
from migrate.retire.journal import Result, RetireJournal
from migrate.retire.replacement import why_needed
from migrate.retire.retirement import Ending, Retired
from migrate.runtime.workers import Workers, result_of
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.resources import binding_path

_AHEAD = 4  # bindings in hand for each request at a time


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
        with Workers(most, "retire", stop=self._api.stop) as workers:
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
            except TwilioError as error:  # done or not, by us or by somebody else: what is there tells
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
