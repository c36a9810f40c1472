"""The journal of a retirement: a synced line before each delete and after it, with SIDs alone.

What was deleted is in the snapshot, with all that it was; here it is only named.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from migrate.model.address import is_same_api
from migrate.model.errors import InputError, RefusedError
from migrate.model.sids import is_binding_sid
from migrate.storage.private import own_place
from migrate.storage.synced_log import LineError, SyncedLog

if TYPE_CHECKING:
    from migrate.storage.sid_set import Sids

FORMAT = 1
BEGIN = f'{{"format_version": {FORMAT}, "kind": "retire", '
Result = Literal["deleted", "failed"]


@dataclass
class RetireJournal:
    """The deletes of one snapshot's bindings. Its methods may be called from several threads.

    `deleted` are the SIDs that were, on the disk; `begun` those whose delete was announced and has no result, few.
    `target` is Chat's address, `conversations` that of the API that says who is ready, which a journal of an earlier
    version leaves out.
    """

    log: SyncedLog
    snapshot: str
    account_sid: str
    target: str
    conversations: str
    begun: set[str] = field(default_factory=set)
    deleted: Sids = field(init=False)

    def __post_init__(self) -> None:
        from migrate.storage.sid_set import Sids  # it brings Arrow

        self.deleted = Sids(self.path.parent)

    @property
    def path(self) -> Path:
        """Its file."""
        return self.log.path

    def begin(self, sid: str) -> None:
        """Note that a binding is going to be deleted, if that is not noted yet."""
        if sid not in self.begun:
            self.log.append_dated({"intent": sid})
            self.begun.add(sid)

    def end(self, sid: str, result: Result) -> None:
        """Note what came of it."""
        self.log.append_dated({"result": sid, "status": result})
        self._settle(sid, result)

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


def read_retire_journal(
    path: Path, snapshot: str, account_sid: str, target: str, conversations: str
) -> RetireJournal:
    """The journal of a snapshot's retirement, from its file; an empty one where no such file is yet.

    Raises `InputError` for another file, and `RefusedError` for that of another snapshot, account or address.
    """
    log = SyncedLog(own_place(path), BEGIN)  # a link stays one
    if log.is_unwritten():
        return RetireJournal(log, snapshot, account_sid, target, conversations)
    journal = _read(log, conversations)
    addresses = journal.target, journal.conversations
    is_there = all(map(is_same_api, addresses, (target, conversations)))
    if (journal.snapshot, journal.account_sid) != (snapshot, account_sid) or not is_there:
        raise RefusedError(
            f"{log.path} is the journal of another snapshot, account or address",
            kept="Nothing was deleted",
            remedy="Name another file with --journal",
        )
    journal.target, journal.conversations = target, conversations
    return journal


def begun_retire_journal(path: Path) -> RetireJournal:
    """The journal in a file, whosever it is; of an earlier version's, `conversations` is empty.

    Raises `InputError` for another file.
    """
    return _read(SyncedLog(path, BEGIN), "")


def _read(log: SyncedLog, conversations: str) -> RetireJournal:
    try:
        with log.reading() as lines:
            first = next(lines)
            if first["format_version"] != FORMAT or first["kind"] != "retire":
                raise ValueError("another journal")
            snapshot, account, target = (str(first[name]) for name in ("snapshot", "account_sid", "target"))
            journal = RetireJournal(log, snapshot, account, target, str(first.get("conversations", conversations)))
            for line in lines:
                journal.take(line)
    except LineError:
        raise InputError(
            f"{log.path} is not a journal of chat-migrate retire", remedy="Name another file with --journal"
        ) from None
    return journal


@contextmanager
def held_retire_journal(journal: RetireJournal) -> Iterator[None]:
    """Hold a journal against any other process, ready to be written.

    Raises `RefusedError` if it is held, and what `read_retire_journal` raises for what it has become meanwhile.
    """
    names = ("snapshot", "account_sid", "target", "conversations")
    whose = {name: getattr(journal, name) for name in names}
    with journal.log.held({"format_version": FORMAT, "kind": "retire", **whose}):
        now = read_retire_journal(journal.path, **whose)  # once more: no other process is writing now
        journal.begun, journal.deleted = now.begun, now.deleted
        yield
