"""Retire: delete Chat's bindings of devices that are ready in Conversations, so that nobody is pushed twice.

A binding cannot be made again. So each is looked at once more just before: it must be as the snapshot has it, and
Conversations must have none of its SID, for that may be the same object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

from migrate.load.pace import Pace
from migrate.load.retire_journal import RetireJournal
from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.model.retirement import Fate, Retired
from migrate.twilio_api.addresses import Api
from migrate.twilio_api.api import TwilioApi

Row = Mapping[str, Any]  # a binding as the snapshot has it, and its `service_sid`
_SAME = ("sid", "identity", "endpoint", "binding_type", "credential_sid")
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
        first, as far as that can be seen.
        """
        retired, waiting = Retired(), deque[Future[tuple[Fate, str]]]()
        most = self._api.throttle.most
        with ThreadPoolExecutor(most, thread_name_prefix="retire") as pool:
            try:
                for row in rows:
                    waiting.append(pool.submit(self._retire, row))
                    if len(waiting) > most * _AHEAD:
                        retired.add(*waiting.popleft().result())
                while waiting:
                    retired.add(*waiting.popleft().result())
            except BaseException:
                self._api.stop()  # nothing further is begun
                pool.shutdown(cancel_futures=True)
                raise
        return retired

    def _retire(self, row: Row) -> tuple[Fate, str]:
        try:
            return self._try(row), ""
        except InterruptedRunError:
            raise
        except TwilioError as error:
            return "failed", f"{row['sid']}: {error}"

    def _try(self, row: Row) -> Fate:
        sid, path = row["sid"], f"/Services/{row['service_sid']}/Bindings/{row['sid']}"
        live = self._read("chat", path)
        if live is None:
            if sid not in self._journal.begun:
                return "gone"
            self._journal.end(sid, "deleted")  # it had arrived, though nobody was there to see it
            return "deleted"
        if not is_same(row, live):
            return "changed"
        if self._read("conversations", path) is not None:
            return "shared"
        self._journal.begin(sid)
        self._delete(sid, path)
        self._journal.end(sid, "deleted")
        return "deleted"

    def _delete(self, sid: str, path: str) -> None:
        def attempt() -> None:
            self._pace.wait()
            try:
                self._api.delete("chat", path)
            except TransientTwilioError:  # done or not: what is there tells
                if self._read("chat", path) is not None:
                    raise

        try:
            self._api.insist(attempt)
        except TransientTwilioError:  # nothing can be seen: it stays open, and is settled by the next run
            raise
        except TwilioError as error:
            if error.status != 404:  # somebody else was quicker
                self._journal.end(sid, "failed")
                raise

    def _read(self, api: Api, path: str) -> dict[str, Any] | None:
        """A binding as an API shows it now; None if there is none."""
        try:
            return self._api.get(api, path, having=("sid",))
        except TwilioError as error:
            if error.status == 404:
                return None
            raise


def is_same(row: Row, live: Mapping[str, Any]) -> bool:
    """Whether a live binding is the one that the snapshot has, unchanged since."""
    try:
        then, now = row["message_types"], live.get("message_types")
        date = live.get("date_updated")
        return (
            all(row[name] == live.get(name) for name in _SAME)
            and (then if then is None else sorted(then)) == (now if now is None else sorted(now))
            and row["date_updated"] == (date if date is None else datetime.fromisoformat(date))
        )
    except (TypeError, ValueError):  # no list, or no time, of any binding
        return False
