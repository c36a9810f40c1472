"""Retire: delete Chat's bindings of devices that are ready in Conversations, so that nobody is pushed twice.

A binding cannot be made again. So each is looked at once more just before: it must be as the snapshot has it,
Conversations must have none of its SID, for that may be the same object, and the registration there that made its
device ready must be there still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from migrate.load.pace import Pace
from migrate.load.retire_journal import Result, RetireJournal
from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.model.retirement import Fate, Retired
from migrate.model.sids import is_binding_sid
from migrate.twilio_api.addresses import Api
from migrate.twilio_api.api import TwilioApi
from migrate.workers import Workers, result_of

Row = Mapping[str, Any]  # a binding as the snapshot has it, and its `service_sid`
_SAME = ("sid", "identity", "endpoint", "binding_type", "credential_sid")
_TRIES = 3  # of a look, with pauses of a second or so; then all of it is looked at anew
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
        retired, waiting = Retired(), deque[Future[tuple[Fate, str]]]()
        most = self._api.throttle.most
        with Workers(most, "retire", stop=self._api.stop) as workers:
            for row in rows:
                waiting.append(workers.submit(self._retire, row))
                if len(waiting) > most * _AHEAD:
                    retired.add(*result_of(waiting.popleft()))
            while waiting:
                retired.add(*result_of(waiting.popleft()))
        return retired

    def _retire(self, row: Row) -> tuple[Fate, str]:
        try:
            return self._try(row), ""
        except InterruptedRunError:
            raise
        except TwilioError as error:
            return "failed", f"{row['sid']}: {error}"

    def _try(self, row: Row) -> Fate:
        """Look, and delete; and look again before each further attempt, for a phone may register meanwhile."""
        sid, path = row["sid"], binding_path(row["service_sid"], row["sid"])
        if not is_binding_sid(sid):
            raise TwilioError("that is not a binding's SID, and so it is not asked for")

        def attempt() -> Fate:
            if obstacle := self._obstacle(row, path):
                return obstacle
            self._journal.begin(sid)
            self._pace.wait()
            try:
                self._api.delete("chat", path)
            except TwilioError as error:  # done or not, by us or by somebody else: what is there tells
                if self._find(row, path) is not None:
                    if not isinstance(error, TransientTwilioError):
                        self._settle(sid, "failed")
                    raise
            return "deleted"

        fate = self._api.insist(attempt)  # where nothing can be seen it stays open, and is settled by the next run
        if fate == "gone" and sid in self._journal.begun:
            fate = "deleted"  # it had arrived, though nobody was there to see it
        self._settle(sid, "deleted" if fate == "deleted" else "failed")
        return fate

    def _obstacle(self, row: Row, path: str) -> Fate | None:
        """Why a binding must not be deleted as things are now; None if nothing speaks against it."""
        live = self._find(row, path)
        if live is None:
            return "gone"
        if not is_same(row, live):
            return "changed"
        if self._read("conversations", path) is not None:
            return "shared"
        sign = self._read("conversations", binding_path(row["service_sid"], row["sign_sid"]))
        return None if sign is not None and is_still(row, sign) else "unready"

    def _settle(self, sid: str, result: Result) -> None:
        if sid in self._journal.begun:
            self._journal.end(sid, result)

    def _find(self, row: Row, path: str) -> dict[str, Any] | None:
        """A binding as Chat has it now; None if it has none.

        A Chat that was switched off may answer 404 to everything (FACTS.md, "The two APIs"): then nothing is known.
        """
        live, service_sid = self._read("chat", path), row["service_sid"]
        if live is None and self._read("chat", f"/Services/{service_sid}") is None:
            raise TwilioError(f"Chat lacks service {service_sid}, or is switched off: it says nothing of bindings")
        return live

    def _read(self, api: Api, path: str) -> dict[str, Any] | None:
        """An object as an API shows it now; None if Twilio says that there is none, and not something on the way.

        It is tried a few times only: what was seen before it would be old by the time that a late try succeeds.
        """
        try:
            return self._api.get(api, path, _TRIES, having=("sid",))
        except TwilioError as error:
            if error.status == 404 and error.code is not None:
                return None
            raise


def binding_path(service_sid: str, sid: str) -> str:
    """Where a binding is, in either API."""
    return f"/Services/{service_sid}/Bindings/{sid}"


def is_same(row: Row, live: Mapping[str, Any]) -> bool:
    """Whether a live binding is the one that the snapshot has, unchanged since."""
    return (
        all(row[name] == live.get(name) for name in _SAME)
        and _are_same(row["message_types"], live.get("message_types"))
        and row["date_updated"] == _time(live.get("date_updated"))
    )


def is_still(row: Row, sign: Mapping[str, Any]) -> bool:
    """Whether the registration that made a device ready still does."""
    return row["identity"] == sign.get("identity") and _are_same(row["sign_message_types"], sign.get("message_types"))


def _are_same(then: Any, now: Any) -> bool:
    """Whether two lists of message types mean the same; their order means nothing."""
    if then is None or now is None:
        return then is now
    return isinstance(now, list) and all(isinstance(name, str) for name in now) and sorted(then) == sorted(now)


def _time(text: Any) -> datetime | None:
    """A time as the snapshot has it: in UTC where it does not say. What is none is no time of any binding."""
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
