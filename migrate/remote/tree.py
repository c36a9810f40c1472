"""The working copies of a command: what is brought from stores as it is asked for, and what is stored of it.

A folder that is written is claimed first (`lease`), then brought, and stored as it grows (`mirror`). One that is read
is brought whole, as it was at one instant. All of it is gone from this machine at the end, unless it could not be
stored. What a killed process has left is removed by the next.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from migrate.model.errors import AGAIN, InterruptedRunError, MigrateError, RefusedError, reason_of
from migrate.remote.lease import Lease
from migrate.remote.mirror import THREADS, Mirror, clear_torn
from migrate.remote.place import Place, Stamp, listed_in, stamps_of
from migrate.remote.store import Entry, Store, refuse_unfit
from migrate.runtime.interrupts import is_stopping, telling
from migrate.runtime.workers import Workers, result_of
from migrate.storage import places
from migrate.storage.files import make_private_folder
from migrate.storage.lock import hold
from migrate.storage.private import is_own_folder

UNSTORED = "kept"  # a file in a working folder whose content could not be stored: it is left alone
MUCH = 50_000_000  # bytes, of which it is said that they are brought
LAST_PASS, LAST_WORD = 1.8, 0.6  # seconds for what is stored after Ctrl-C, and to give the claims up
_TRIES = 3
_NEW = 60  # seconds
_COMES = 0.5  # seconds within which a KeyboardInterrupt comes that another thread has asked for


class WorkingTree:
    """The working copies of one command, or of one program; a context manager.

    `say` gets messages for the operator; `stop` is called, from another thread, once what is written can no longer
    be stored: then it makes no sense to work on.
    """

    def __init__(self, say: Callable[[str], None], stop: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self._stop = stop
        self._places: dict[str, Place] = {}
        self._held: int | None = None
        self._is_stored = False  # all of it, at the end
        self._kept: Path | None = None  # what could not be stored
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        places.brought_by(self._bring)
        self._is_stored, self._kept = False, None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with telling(partial(self._stopped, error)):
                places.brought_by(None)
                if self._held is not None:
                    self._end(error)
        finally:
            self._let_go()

    def _stopped(self, error: BaseException | None, stopped: MigrateError) -> MigrateError:
        """What is said where the end itself is stopped, after an error of the command or none; also one that is
        forced, which asks for this last.
        """
        if not self._written:
            return stopped
        if self._has_written and not self._is_stored:
            self._keep()
        if isinstance(error, MigrateError) and not isinstance(error, InterruptedRunError):
            stopped.what = f"{error.what}; and it was interrupted while it stored"
        return self._told(stopped)

    def _end(self, error: BaseException | None) -> None:
        """Store what was not stored yet, remove what is here, and raise what is to be said."""
        is_stopped = isinstance(error, KeyboardInterrupt | InterruptedRunError)
        failed, strays = None, list[Path]()
        try:
            self._is_stored, failed = self._last_pass(is_stopped=is_stopped)
            strays = self._strays()
        finally:
            is_hurried = is_stopped or is_stopping()
            for place in self._written:
                if place.lease:
                    place.lease.end()  # what is still under way stores nothing more, and removes nothing
            self._within(LAST_WORD if is_hurried else None, self._give_up)
            self._remove(keep=(self._has_written and not self._is_stored) or bool(strays))
        if failed is not None:
            if isinstance(error, MigrateError) and not isinstance(error, InterruptedRunError | type(failed)):
                self._say(f"Error: {error}")
            raise self._told(failed) from error
        if strays:
            self._tell_of(strays[0], error)
        if is_hurried and not self._is_stored:
            raise self._told(InterruptedRunError("Interrupted")) from error
        if isinstance(error, KeyboardInterrupt):  # before the command was there to say more, or after it
            stored = "What was made until then is stored"
            raise InterruptedRunError("Interrupted", kept=stored, remedy=("Resume with: ", AGAIN)) from error

    def _last_pass(self, *, is_stopped: bool) -> tuple[bool, MigrateError | None]:
        """Store what was not stored yet: whether that is all of it, and what has failed."""
        try:
            self._end_mirrors(is_stopped=is_stopped)
            for place in self._written:
                if place.mirror and place.mirror.error:
                    return False, place.mirror.error
            return self._within(LAST_PASS if is_stopped or is_stopping() else None, self.store), None
        except MigrateError as unstored:
            return False, unstored
        except OSError as unread:  # of this machine
            return False, MigrateError(f"What was made cannot be stored: {reason_of(unread)}")

    def _tell_of(self, stray: Path, error: BaseException | None) -> None:
        """Say what was written and is not stored; beside the command's own error, if it had one."""
        lost = MigrateError(
            f"{places.shown(str(stray))} was written, which is at a URL that this command only reads",
            kept=f"It is not stored, but in {self._kept} on this machine",
            remedy="Please report this",
        )
        if error is None:
            raise lost
        self._say(f"Error: {lost}")

    def open(self, url: str, *, writes: bool = False, is_file: bool = False) -> Path:
        """Bring what is at a URL, and return where it is worked on; nothing is there if nothing is at the URL.

        Raises `StoreError`, `UsageError` for what is no store's URL, and `RefusedError` where it `writes` and another
        process does, or where what is read changes meanwhile.
        """
        url = places.tidy(url)
        with self._lock:
            self._begin()
            known = self._places.get(url) or self._above(url)
            if known and (known.writes or not writes):
                return places.local_of(url)
            if known and url in self._places:  # it was brought to be read, without a claim
                shutil.rmtree(known.path, ignore_errors=True)
            place = Place(Store(url), places.local_of(url), writes)
            make_private_folder(place.path.parent)
            if writes and not is_file:
                self._claim(place)
            elif entry := place.store.entry():
                place.store.get("", place.path, entry.size)
                place.brought = stamps_of(place.path)
            else:
                self._read(place)
            self._places[url] = place
            return place.path

    def store(self) -> None:
        """Store all that was written until now. Raises `StoreError`, and `LostLeaseError`."""
        for place in self._written:
            if place.mirror:
                place.mirror.store()
            elif (now := stamps_of(place.path)) and now != place.brought:
                place.store.put(place.path)
                place.brought = now

    @property
    def _written(self) -> list[Place]:
        return [place for place in self._places.values() if place.writes]

    def _above(self, url: str) -> Place | None:
        """The open folder that a URL is within."""
        return next((place for known, place in self._places.items() if url.startswith(f"{known}/")), None)

    def _bring(self, url: str) -> None:
        """Bring what is to be read, if it is not here yet."""
        with self._lock:
            if url not in self._places and not self._above(url):
                self.open(url)

    def _begin(self) -> None:
        """Make the folder for all of them, once, and remove what killed processes have left."""
        if self._held is None:
            _sweep()
            self._held = hold(places.root())

    def _claim(self, place: Place) -> None:
        place.lease = Lease(place.store, self._say)
        place.lease.take()
        try:
            for way in clear_torn(place.store):
                self._say(f"An interrupted command was cleared away; its edits are in {place.store.url}/{way}")
            there = listed_in(place.store)
            self._get(place, there)
            place.mirror = Mirror(place.path, place.store, place.lease, self._stop)
            place.mirror.begin(there)
        except BaseException:
            place.lease.give_up()
            raise

    def _read(self, place: Place) -> None:
        for _ in range(_TRIES):
            there = listed_in(place.store)
            self._get(place, there)
            if listed_in(place.store) == there:
                place.brought = stamps_of(place.path)
                return
            shutil.rmtree(place.path, ignore_errors=True)
        raise RefusedError(
            f"{place.store.url} changes while it is read", remedy="Wait until it is written, and repeat"
        )

    def _get(self, place: Place, there: Mapping[str, Entry]) -> None:
        refuse_unfit(there, place.store.url)
        size = sum(entry.size for entry in there.values())
        if size > MUCH:
            self._say(f"Bringing {len(there):,} files, {size / 1e6:,.0f} MB, from {place.store.url}")
        with Workers(THREADS, "bring") as workers:
            jobs = [
                workers.submit(place.store.get, way, place.path / way, entry.size) for way, entry in there.items()
            ]
            for job in jobs:
                result_of(job)

    def _end_mirrors(self, *, is_stopped: bool) -> None:
        """End what stores by itself. Where that has called `stop`, and nothing was stopped yet, it comes now."""
        has_stopped = [place.mirror.end(waits=not is_stopped) for place in self._written if place.mirror]
        if any(has_stopped) and not is_stopped:
            with suppress(KeyboardInterrupt):
                time.sleep(_COMES)

    def _give_up(self) -> None:
        for place in self._written:
            if place.lease:
                place.lease.give_up()

    def _within(self, seconds: float | None, do: Callable[[], None]) -> bool:
        """Do it; for at most so many seconds, where they are counted, and then it may fail. Whether it is done."""
        if seconds is None:
            do()
            return True
        done = threading.Event()

        def try_it() -> None:
            with suppress(MigrateError):
                do()
                done.set()

        threading.Thread(target=try_it, name="last-words", daemon=True).start()
        return done.wait(seconds)

    def _strays(self) -> list[Path]:
        """What was written where it is only read, and is not stored."""
        stored = [place.path for place in self._written]
        read = [place for place in self._places.values() if not place.writes]
        then: dict[Path, Stamp] = {}
        for place in read:  # one within another, and read before, was brought again with that
            then |= place.brought
        now = {path: stamp for place in read for path, stamp in stamps_of(place.path).items()}
        return sorted(
            path
            for path, stamp in now.items()
            if then.get(path) != stamp and not any(path.is_relative_to(one) for one in stored)
        )

    @property
    def _has_written(self) -> bool:
        return any(place.path.exists() for place in self._written)

    def _keep(self) -> None:
        """Have what was written left alone."""
        self._kept = places.known_root()
        if self._kept:
            with suppress(OSError):  # a disk may be full: what matters is to store it
                (self._kept / UNSTORED).touch(mode=0o600)

    def _remove(self, *, keep: bool) -> None:
        root = places.known_root()
        if keep:
            self._keep()
        elif root:
            shutil.rmtree(root, ignore_errors=True)

    def _let_go(self) -> None:
        """Have nothing open any more, whatever has stopped the end."""
        for place in self._written:
            if place.lease:
                place.lease.end()
        held, self._held = self._held, None
        if held is not None:
            os.close(held)
        self._places.clear()
        places.forget_root()

    def _told(self, error: MigrateError) -> MigrateError:
        """The error with what is kept, and how to resume."""
        if not error.kept:
            rest = (
                f"; all that was made is in {self._kept} on this machine, and holds personal data"
                if self._kept
                else ""
            )
            error.kept = f"What was stored until then is kept there{rest}"
        if AGAIN not in error.steps:
            error.remedy = (*error.parts, ". " if error.remedy else "", "Then resume with: ", AGAIN)
        return error


def _sweep() -> None:
    """Remove this user's working folders whose process was killed, but for what could not be stored."""
    for left in Path(tempfile.gettempdir()).glob(f"{places.PREFIX}*"):
        with suppress(OSError, RefusedError):  # another's, or in use, or gone by now
            is_new = time.time() - left.lstat().st_mtime < _NEW  # and may not be locked yet
            if (
                is_new
                or left.resolve() == places.known_root()
                or not is_own_folder(left)
                or (left / UNSTORED).exists()
            ):
                continue
            held = hold(left)
            try:
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)
