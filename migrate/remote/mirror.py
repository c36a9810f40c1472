"""Stores a folder as it grows, so that the store always has what a kill would have left on the disk.

Everything is written so that it can be killed at any instant: what a log's line names is in its place before the line
is. A copy that is made in the right order is as good: the documents that say what a folder is are read first, then
each log, while nothing is appended to it, and then the names of all files. These are stored before the logs, the logs
before the documents; what is gone here is removed there last, or, of a folder whose document is replaced, before that
is stored. So a folder in the store is always one that was once on the disk, and resumes as that would.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from migrate.model.errors import MigrateError, reason_of
from migrate.remote.lease import FOLDER, Lease
from migrate.remote.store import Store, StoreError
from migrate.runtime.workers import Workers, result_of
from migrate.storage.synced_log import logs_in

logger = logging.getLogger(__name__)
THREADS = 8
PAUSE = 10.0  # seconds between two passes while a command runs
PATIENCE = 300.0  # seconds for which what may pass is tried again
# By these a folder is what it is: without them it is unfinished.
DOCUMENTS = ("manifest.json", "summary.json", "plan.json")
# Without one of these, what lies beside it is worth nothing, and would only be in the way of the next run.
_BESIDE = ("manifest.json", "summary.json")
TORN = f"{FOLDER}/torn.json"  # in a folder that lacks its document for a while: what is in it by this program
# What is stored before all else: which accounts a fleet has, and what a person has written into a former folder.
_EDITED = re.compile(r"(.*/)?[^/]+\.edited-\d+\.[^/]+")
_FIRST = re.compile(rf"(.*/)?fleet\.json|{_EDITED.pattern}")
KEPT = ".kept"  # in the folder: what a person has written into one that was cleared
_LOGS = ("checkpoint.jsonl", "windows.jsonl")  # as they are called where nobody has them open
_HIDDEN = (".push-errors", ".chat-migrate-health")  # the hidden folders that a command resumes from
# This one speaks of files that may be replaced under their names, and so it goes before they do.
_REPLACED = "summary.json"
_RETRIES = 50
_MAY_PASS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
Stamp = tuple[int, int, int]  # what changes with a file: its size, its time and its number


@dataclass(frozen=True)
class _View:
    """A folder at one instant, as far as it counts: all files, and what its logs and documents said then."""

    files: Mapping[str, Stamp]
    logs: Mapping[str, bytes]
    documents: Mapping[str, bytes]


class Mirror:
    """Stores one folder, in passes of its own thread. `failed` is called once it has given up, from that thread."""

    def __init__(self, folder: Path, store: Store, lease: Lease, failed: Callable[[], None]) -> None:
        self.folder = folder
        self.error: MigrateError | None = None
        self._store = store
        self._lease = lease
        self._failed = failed
        self._there: dict[str, Stamp] = {}  # what is in the store as it is, or was, here
        self._lock = threading.Lock()  # of whoever makes a pass
        self._ended = threading.Event()
        self._giving_up = threading.Lock()
        self._has_given_up = False

    def begin(self, there: Iterable[str]) -> None:
        """Begin, with what was brought from the store; what a pass does not see, it neither stores nor removes."""
        now = _files(self.folder)
        self._there = {name: now[name] for name in there if name in now}
        threading.Thread(target=self._run, name="mirror", daemon=True).start()

    def end(self, *, waits: bool) -> bool:
        """Make no more passes by itself; whether it had given up, and `failed` was called."""
        with self._giving_up:
            self._ended.set()
        if waits:
            with self._lock:  # of one that is under way
                pass
        return self._has_given_up

    def store(self) -> None:
        """Store all that is here. Raises `StoreError` or `LostLeaseError`, now and ever after."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                if self._pass():
                    return
            except StoreError as error:
                if not error.may_pass or time.monotonic() > give_up:
                    self.error = error
                    raise
                time.sleep(min(2.0, PATIENCE / 10))
            except MigrateError as error:
                self.error = error
                raise

    def _run(self) -> None:
        """Make a pass now and then; give up where the store has failed for too long."""
        failing_since: float | None = None
        while not self._ended.wait(min(PAUSE, self._lease.renewal)):
            try:
                self._pass(by_itself=True)
                failing_since = None
            except MigrateError as error:
                failing_since = failing_since or time.monotonic()
                may_pass = isinstance(error, StoreError) and error.may_pass
                logger.info("Storing %s failed, and %s", self._store.url, "is tried again" if may_pass else "ends")
                if may_pass and time.monotonic() - failing_since <= PATIENCE:
                    continue
                with self._giving_up:
                    if not self._ended.is_set():
                        self.error, self._has_given_up = error, True
                        self._failed()
                return

    def _pass(self, *, by_itself: bool = False) -> bool:
        """Store what has changed; whether that was everything."""
        with self._lock:
            if self.error:
                raise self.error
            if by_itself and self._ended.is_set():
                return False
            if not self.folder.is_dir():  # nothing was made yet; no command removes a folder as a whole
                return True
            try:
                view = self._view()
                return view is not None and self._store_view(view)
            except OSError as error:  # of this machine
                what = f"What is made cannot be stored at {self._store.url}: {reason_of(error)}"
                raise StoreError(what, may_pass=error.errno in _MAY_PASS) from error

    def _store_view(self, view: _View) -> bool:
        """Store what is otherwise than it was, in its order; False where a file is gone by now."""
        changed = [name for name in view.files if self._there.get(name) != view.files[name]]
        said = {**view.logs, **view.documents}
        spoken = sorted(
            (name for name in changed if name in said), key=lambda name: (name in view.documents, _rank(name))
        )
        gone = sorted({*self._there} - {*view.files}, key=_rank)
        if not changed and not gone:
            return True
        # What lies above folders with documents speaks of them, as reports do, and is stored after them.
        folders = {_beside(name) for name in view.documents}
        parts: dict[str, list[str]] = {"first": [], "inner": [], "outer": []}
        for name in changed:
            if name not in said:
                is_above = any(each != _beside(name) and each.startswith(_beside(name)) for each in folders)
                parts["first" if _FIRST.fullmatch(name) else "outer" if is_above else "inner"].append(name)
        is_whole = self._put(parts["first"], view.files)
        marks = self._tear(spoken, {*view.files, *self._there})
        if not self._put(parts["inner"], view.files) or not is_whole:
            return False
        replaced = tuple(_beside(name) for name in spoken if name.endswith(_REPLACED))
        self._drop([name for name in gone if name.startswith(replaced)])  # it would be taken for the new one's
        for name in spoken:
            self._lease.sure()
            self._store.write(name, said[name])
            self._there[name] = view.files[name]
        self._drop([name for name in gone if not name.startswith(replaced)])
        for mark in marks:
            self._store.remove(mark)
        return self._put(parts["outer"], view.files)

    def _tear(self, names: Sequence[str], files: Collection[str]) -> list[str]:
        """Mark the folders that lack their document for a while, and withdraw the documents that are replaced.

        A mark names what is in the folder by this program, and is returned by its own way.
        """
        marks: list[str] = []
        for name in names:
            if name.rpartition("/")[2] not in _BESIDE or (name in self._there and not name.endswith(_REPLACED)):
                continue
            self._lease.sure()
            folder = _beside(name)
            within = sorted(way.removeprefix(folder) for way in files if way.startswith(folder))
            marks.append(f"{folder}{TORN}")
            self._store.write(
                marks[-1], json.dumps({"document": name.removeprefix(folder), "files": within}).encode()
            )
            if name in self._there:
                self._store.remove(name)
                del self._there[name]
        return marks

    def _drop(self, names: Iterable[str]) -> None:
        """Remove what is gone here."""
        for name in names:
            self._lease.sure()
            self._store.remove(name)
            del self._there[name]

    def _put(self, names: list[str], stamps: Mapping[str, Stamp]) -> bool:
        """Store some files side by side; False where one is gone by now."""

        def put(name: str) -> bool:
            self._lease.sure()  # it may have been suspended since, for as long as it takes to lose the folder
            try:
                self._store.put(self.folder / name, name)
            except FileNotFoundError:
                return False
            self._there[name] = stamps[name]
            return True

        with Workers(THREADS, "store") as workers:
            done = [workers.submit(put, name) for name in names]
            return False not in [result_of(future) for future in done]

    def _view(self) -> _View | None:
        """How the folder is now; None while that changes too fast to be seen."""
        for _ in range(_RETRIES):
            before = _documents(self.folder)
            with ExitStack() as stack:
                held = [(log.path, stack.enter_context(log.paused())) for log in logs_in(self.folder)]
                files = _files(self.folder)
            logs = {path.relative_to(self.folder).as_posix(): data for path, data in held}
            ended = self._ended_logs(name for name in files if name not in logs)
            stamps = {name: stamp for name, (_, stamp) in before.items()}
            if ended is not None and stamps == {name: files[name] for name in files if _is_document(name)}:
                said = {name: data for name, data in (logs | ended).items() if name in files}
                return _View(files, said, {name: data for name, (data, _) in before.items()})
            time.sleep(0.01)
        return None

    def _ended_logs(self, names: Iterable[str]) -> dict[str, bytes] | None:
        """What the logs say that nobody has open; None where somebody has by now."""
        found = [name for name in names if name.rpartition("/")[2] in _LOGS]
        try:
            said = {name: (self.folder / name).read_bytes() for name in found}
        except FileNotFoundError:
            return None
        return None if {log.path for log in logs_in(self.folder)} & {self.folder / name for name in found} else said


def clear_torn(store: Store) -> list[str]:
    """Clear the folders whose storing was cut short before they had their document.

    What a person has written is kept first, under a name that goes by its content; returned is the way to each.
    """
    there, kept = store.objects(), list[str]()
    for mark in [way for way in there if way == TORN or way.endswith(f"/{TORN}")]:
        folder = mark.removesuffix(TORN)
        try:
            said = json.loads(store.read(mark) or b"")
            document, files = f"{folder}{said['document']}", {f"{folder}{name}" for name in said["files"]}
        except (ValueError, TypeError, LookupError):
            document, files = "", set()
        for way in sorted(files & {*there}) if document not in there else ():
            if _EDITED.fullmatch(way):
                data = store.read(way) or b""
                stem, _, suffix = way.rpartition(".")
                kept.append(f"{KEPT}/{stem}.{hashlib.sha256(data).hexdigest()[:12]}.{suffix}")
                store.write(kept[-1], data)
            store.remove(way)
        store.remove(mark)
    return kept


def _beside(document: str) -> str:
    """How the names begin of what lies beside a document."""
    return document[: document.rindex("/") + 1] if "/" in document else ""


def _is_document(name: str) -> bool:
    return name.rpartition("/")[2] in DOCUMENTS


def _rank(name: str) -> tuple[int, int, str]:
    """Documents last, and of these what stands above others after them."""
    return (DOCUMENTS.index(name.rpartition("/")[2]) + 1 if _is_document(name) else 0, -name.count("/"), name)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _documents(folder: Path) -> dict[str, tuple[bytes, Stamp]]:
    """What the documents in a folder say, and their stamps before they were read."""
    found: dict[str, tuple[bytes, Stamp]] = {}
    for name in _files(folder):
        if _is_document(name):
            try:
                stamp = _stamp(folder / name)
                found[name] = (folder / name).read_bytes(), stamp
            except FileNotFoundError:
                continue
    return found


def _files(folder: Path) -> dict[str, Stamp]:
    """All files in a folder, but for hidden ones, which are unfinished or locks; by their ways from there."""
    found: dict[str, Stamp] = {}
    pending = [""]
    while pending:
        way = pending.pop()
        try:
            entries = [*os.scandir(folder / way)]
        except FileNotFoundError:
            continue
        for entry in entries:
            name = f"{way}/{entry.name}" if way else entry.name
            if entry.name.startswith(".") and entry.name not in _HIDDEN:
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found[name] = status.st_size, status.st_mtime_ns, status.st_ino
            except FileNotFoundError:
                continue
    return found
