"""The journal: a synced line before each write and after it, so that whatever happens can be settled and undone.

An intent without a result is a write that may or may not have been done: the run that resumes reads back which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from migrate.load.limits import NOTHING_WRITTEN
from migrate.model.errors import InputError, RefusedError
from migrate.model.plan import NOTIFICATIONS, Change, Plan, settings_of
from migrate.model.push_config import Settings
from migrate.model.push_credential import CREDENTIAL, CredentialChange, LiveCredential
from migrate.model.sids import is_credential_sid, is_service_sid
from migrate.storage.private import own_place
from migrate.storage.synced_log import LineError, SyncedLog

FORMAT = 1
ROLLBACK_OF = "rollback of "  # begins what a rollback's journal is known by; the id of the other plan follows
BEGIN = f'{{"format_version": {FORMAT}, "plan_id": '
# applied: read back as desired; failed: sent, and not seen to be as desired; void: nothing of it has arrived, as
# Twilio said, or as a later run has seen.
Status = Literal["applied", "failed", "void"]
STATUSES: tuple[Status, ...] = ("applied", "failed", "void")


@dataclass
class Entry:
    """One write: what was live before it, what it was to set, and what was read back; None while that is open."""

    service_sid: str
    friendly_name: str
    before: Settings
    desired: Settings
    status: Status | None = None
    after: Settings | None = None


@dataclass
class CredentialEntry:
    """One write of a credential: what was shown of it before (None: it was not there) and after; never its secret."""

    friendly_name: str
    type: str
    before: LiveCredential | None
    status: Status | None = None
    after: LiveCredential | None = None
    made: str | None = None  # its SID, if Twilio has named it
    seen: frozenset[str] | None = None  # the SIDs of all credentials before it was made; None: not known

    @property
    def sid(self) -> str | None:
        """Its SID, as far as that is known."""
        return self.made or (self.after.sid if self.after else None)


Kind = TypeVar("Kind", Entry, CredentialEntry)


@dataclass
class Journal:
    """One plan's writes, in their order. `plan_id` names the plan; `finished` says that all of it is done."""

    log: SyncedLog
    plan_id: str
    account_sid: str
    target: str
    entries: list[Entry | CredentialEntry] = field(default_factory=list)
    finished: bool = False

    @property
    def path(self) -> Path:
        """Its file."""
        return self.log.path

    def begin(self, change: Change, before: Settings, desired: Settings) -> int:
        """Note that these fields are going to be written; gives the number of the entry."""
        self.entries.append(Entry(change.service_sid, change.friendly_name, before, desired))
        number = len(self.entries) - 1
        self.log.append_dated(
            {
                "intent": number,
                "kind": NOTIFICATIONS,
                "service_sid": change.service_sid,
                "friendly_name": change.friendly_name,
                "before": dict(before),
                "desired": dict(desired),
            }
        )
        return number

    def begin_credential(self, change: CredentialChange, seen: Collection[str] = ()) -> int:
        """Note that a credential is going to be made, or given another secret; gives the number of the entry.

        `seen` are the SIDs of the credentials that there are before one is made: what is new later can be ours.
        """
        config, before = change.config, change.existing
        self.entries.append(CredentialEntry(config.friendly_name, config.type, before, seen=frozenset(seen)))
        number = len(self.entries) - 1
        self.log.append_dated(
            {
                "intent": number,
                "kind": CREDENTIAL,
                "friendly_name": config.friendly_name,
                "type": config.type,
                "before": before.to_json() if before else None,
                "seen": sorted(seen),
            }
        )
        return number

    def note(self, number: int, sid: str) -> None:
        """Note the SID that Twilio has given to a credential."""
        self.log.append_dated({"made": number, "credential_sid": sid})
        self._name(number, sid)

    def _name(self, number: int, sid: str) -> None:
        entry = self.entries[number]
        if isinstance(entry, CredentialEntry) and is_credential_sid(sid):
            entry.made = sid

    def end(self, number: int, status: Status, after: Settings | LiveCredential | None) -> None:
        """Note what came of a write."""
        shown = after.to_json() if isinstance(after, LiveCredential) else None if after is None else dict(after)
        self.log.append_dated({"result": number, "status": status, "after": shown})
        self._settle(number, status, after)

    def _settle(self, number: int, status: Status, after: Settings | LiveCredential | None) -> None:
        entry = self.entries[number]
        entry.status = status
        if isinstance(entry, Entry):
            entry.after = None if isinstance(after, LiveCredential) else after
        else:
            entry.after = after if isinstance(after, LiveCredential) else None

    def finish(self) -> None:
        """Note that the whole plan is done."""
        self.log.append_dated({"finished": True})
        self.finished = True

    def latest(self, change: Change) -> tuple[int, Entry] | None:
        """The last write to a service, with its number."""
        return self._last(Entry, lambda entry: entry.service_sid == change.service_sid)

    def latest_credential(self, change: CredentialChange) -> tuple[int, CredentialEntry] | None:
        """The last write to a credential of that type and name, with its number."""
        wanted = (change.config.friendly_name, change.config.type)
        return self._last(CredentialEntry, lambda entry: (entry.friendly_name, entry.type) == wanted)

    def _last(self, kind: type[Kind], matches: Callable[[Kind], bool]) -> tuple[int, Kind] | None:
        for number in reversed(range(len(self.entries))):
            entry = self.entries[number]
            if isinstance(entry, kind) and matches(entry):
                return number, entry
        return None


def refuse_done(journal: Journal | None, plan_id: str, path: Path) -> None:
    """Raise `RefusedError` if the journal at `path` is another plan's, or says that all of the plan is done."""
    if journal and journal.plan_id != plan_id:
        raise RefusedError(
            f"{path} is the journal of another plan", kept=NOTHING_WRITTEN, remedy="Name another file with --journal"
        )
    if journal and journal.finished:
        done = "The rollback was applied" if plan_id.startswith(ROLLBACK_OF) else "This plan was applied"
        raise RefusedError(
            f"{done} already: {path}",
            kept=NOTHING_WRITTEN,
            remedy="To apply it once more, name another file with --journal",
        )


@contextmanager
def open_journal(path: Path, plan: Plan, plan_id: str) -> Iterator[Journal]:
    """The journal of a plan, new or resumed, held against any other process.

    Raises `RefusedError` if it is another plan's or held, and `InputError` for a file that is no journal.
    """
    path = own_place(path)  # a link stays one
    begun = begun_journal(path)  # before anything is changed
    log = begun.log if begun else _log(path)
    if begun is None or begun.plan_id == plan_id:
        head = {"plan_id": plan_id, "account_sid": plan.account_sid, "target": plan.target}
        with log.held({"format_version": FORMAT, **head}):
            begun = _read(log)  # once more: no other process is writing now
            if begun.plan_id == plan_id:
                yield begun
                return
    raise RefusedError(f"{path} is the journal of another plan", remedy="Name another file with --journal")


def begun_journal(path: Path) -> Journal | None:
    """The journal in a file; None where none was begun. Raises `InputError` for a file that is no journal."""
    log = _log(path)
    return None if log.is_unwritten() else _read(log)


def written_journal(path: Path) -> Journal:
    """The journal in a file that must exist. Raises `InputError` for another file, or one without a whole line."""
    journal = begun_journal(path)
    if journal is None:
        raise InputError(
            f"{path} ends within its first line: nothing was written by it", remedy="There is nothing to undo"
        )
    return journal


def read_journal(path: Path) -> Journal:
    """A journal from its file, which is left as it is. Raises `InputError` for another file."""
    return _read(_log(path))


def _log(path: Path) -> SyncedLog:
    return SyncedLog(path, BEGIN)


def _read(log: SyncedLog) -> Journal:
    try:
        with log.reading() as lines:
            first = next(lines)
            if first["format_version"] != FORMAT:
                raise InputError(f"{log.path} is a journal in another format", remedy="Use the version that wrote it")
            journal = Journal(log, str(first["plan_id"]), str(first["account_sid"]), str(first["target"]))
            for line in lines:
                _take(journal, line)
    except LineError as error:
        if error.number > 1:
            raise InputError(
                f"{log.path} is not a journal as it was written: "
                f"line {error.number:,} does not follow from those before it",
                remedy="If it is a copy, copy it again; a journal that was edited, or put together, cannot be used",
            ) from None
        raise InputError(
            f"{log.path} is not a journal", remedy="Name one that chat-migrate load --apply has written"
        ) from None
    return journal


def _take(journal: Journal, line: dict[str, Any]) -> None:
    """Add what a line says. Raises LookupError, TypeError or ValueError if it says nothing."""
    if line.get("finished") is True:
        journal.finished = True
    elif "intent" in line:
        if line["intent"] != len(journal.entries):
            raise ValueError("not the next entry")
        journal.entries.append(_entry(line))
    elif "made" in line:
        journal._name(line["made"], line["credential_sid"])
    else:
        number, status, after = line["result"], line["status"], line["after"]
        if status not in STATUSES or number < 0:
            raise ValueError("not a result")
        read = settings_of if isinstance(journal.entries[number], Entry) else LiveCredential.from_json
        journal._settle(number, status, None if after is None else read(after))


def _entry(line: dict[str, Any]) -> Entry | CredentialEntry:
    name = str(line["friendly_name"])
    if line["kind"] == CREDENTIAL:
        before = None if line["before"] is None else LiveCredential.from_json(line["before"])
        seen = line.get("seen")
        if seen is not None and not (isinstance(seen, list) and all(isinstance(sid, str) for sid in seen)):
            raise TypeError("not a list of SIDs")
        return CredentialEntry(name, str(line["type"]), before, seen=None if seen is None else frozenset(seen))
    if line["kind"] != NOTIFICATIONS:
        raise ValueError("of another kind")
    if not is_service_sid(line["service_sid"]):
        raise ValueError("not a service")
    return Entry(str(line["service_sid"]), name, settings_of(line["before"]), settings_of(line["desired"]))
