"""The journal of a retirement: a synced line before each delete and after it, with SIDs alone.

What was deleted stands in the snapshot, with all that it was; here it is only named.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from migrate.model.address import is_same_api
from migrate.model.errors import InputError, RefusedError
from migrate.model.sids import is_binding_sid
from migrate.storage.files import append_synced
from migrate.storage.private import own_place
from migrate.storage.synced_log import held_for_lines, is_unwritten

if TYPE_CHECKING:
    from migrate.storage.sid_set import Sids

FORMAT = 1
_FIRST = f'{{"format_version": {FORMAT}, "kind": "retire", '.encode()  # how each begins
Result = Literal["deleted", "failed"]


@dataclass
class RetireJournal:
    """The deletes of one snapshot's bindings. Its methods may be called from several threads.

    `deleted` are the SIDs that were, on the disk; `begun` those whose delete was announced and has no result, few.
    `target` is Chat's address, `conversations` that of the API that says who is ready, which a journal of an earlier
    version leaves out.
    """

    path: Path
    snapshot: str
    account_sid: str
    target: str
    conversations: str
    begun: set[str] = field(default_factory=set)
    deleted: Sids = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        from migrate.storage.sid_set import Sids  # it brings Arrow

        self.deleted = Sids(self.path.parent)

    def begin(self, sid: str) -> None:
        """Note that a binding is going to be deleted, if that is not noted yet."""
        if sid not in self.begun:
            self._log({"intent": sid})
            self.begun.add(sid)

    def end(self, sid: str, result: Result) -> None:
        """Note what came of it."""
        self._log({"result": sid, "status": result})
        self._settle(sid, result)

    def head(self) -> None:
        """Write the first line: what the journal is of."""
        names = ("snapshot", "account_sid", "target", "conversations")
        self._log({"format_version": FORMAT, "kind": "retire", **{name: getattr(self, name) for name in names}})

    def take(self, line: Any) -> None:
        """Add what a line says. Raises LookupError, TypeError or ValueError if it says nothing."""
        sid = line.get("intent") or line["result"]
        if not is_binding_sid(sid):
            raise ValueError("not a binding")
        if "intent" in line:
            self.begun.add(sid)
        elif line["status"] in ("deleted", "failed"):
            self._settle(sid, line["status"])
        else:
            raise ValueError("not a result")

    def _settle(self, sid: str, result: Result) -> None:
        is_first = sid in self.begun or sid not in self.deleted
        self.begun.discard(sid)
        if result == "deleted" and is_first:
            self.deleted.add(sid)

    def _log(self, line: dict[str, Any]) -> None:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            append_synced(self.path, json.dumps({**line, "at": moment}))


def read_retire_journal(
    path: Path, snapshot: str, account_sid: str, target: str, conversations: str
) -> RetireJournal:
    """The journal of a snapshot's retirement, from its file; an empty one where there is none yet.

    Raises `InputError` for a file that is none, and `RefusedError` for that of another snapshot, account or address.
    """
    path = own_place(path)  # a link stays one
    journal = RetireJournal(path, snapshot, account_sid, target, conversations)
    if is_unwritten(path, _FIRST):
        return journal
    try:
        with path.open(encoding="utf-8") as lines:
            first = json.loads(next(lines))
            whose = tuple(str(first[name]) for name in ("snapshot", "account_sid"))
            addresses = str(first["target"]), str(first.get("conversations", conversations))
            for line in lines:
                if line.endswith("\n"):  # a last one that a crash cut short was never said
                    journal.take(json.loads(line))
        if first["format_version"] != FORMAT or first["kind"] != "retire":
            raise ValueError("another journal")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration):
        raise InputError(
            f"{path} is not a journal of chat-migrate retire", remedy="Name another file with --journal"
        ) from None
    is_there = all(map(is_same_api, addresses, (target, conversations)))
    if whose != (snapshot, account_sid) or not is_there:
        raise RefusedError(
            f"{path} is the journal of another snapshot, account or address",
            kept="Nothing was deleted",
            remedy="Name another file with --journal",
        )
    return journal


@contextmanager
def held_retire_journal(journal: RetireJournal) -> Iterator[None]:
    """Hold a journal against any other process, ready to be written. Raises `RefusedError` if it is held."""
    is_new = is_unwritten(journal.path, _FIRST)
    with held_for_lines(journal.path, is_new=is_new):
        if is_new:
            journal.head()
        yield
