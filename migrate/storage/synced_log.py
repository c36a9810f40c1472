"""A log of synced lines with one writer: what every journal and the checkpoint are.

Each line is one JSON object. A last line without its end was cut short by a crash: it was never written.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from migrate.storage.lock import hold
from migrate.storage.private import make_private_folder, open_own, refuse_foreign, sync

_BLOCK = 4096  # bytes
# What reading a line raises that does not say what it should.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration)


class LineError(ValueError):
    """A line that is no JSON, or does not say what it should; or no first line. `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number:,} cannot be read")
        self.number = number


class SyncedLog:
    """The log in a file of mode 0600, which may not exist yet. `append` may be called from several threads.

    `begin` is how the first line of every log of its kind begins.
    """

    def __init__(self, path: Path, begin: str = "") -> None:
        self.path = path
        self._begin = begin.encode()
        self._lock = threading.Lock()
        self._file: FileIO | None = None  # for appending
        _logs.add(self)

    def is_unwritten(self) -> bool:
        """Whether there is no such file, or one whose writer was killed within its first line."""
        if not self.path.exists():
            return True
        with self.path.open("rb") as file:
            data = file.read(len(self._begin) + _BLOCK)
        return b"\n" not in data and (data.startswith(self._begin) or self._begin.startswith(data))

    @contextmanager
    def reading(self) -> Iterator[Iterator[Any]]:
        """The complete lines, in their order.

        Within, what a line raises that does not say what it should becomes a `LineError` with its number.
        """
        number = 1

        def lines() -> Iterator[Any]:
            nonlocal number
            for number, line in enumerate(file, 1):  # noqa: B007  # the number is for the error
                if line.endswith(b"\n"):
                    yield json.loads(line.decode("utf-8"))

        with self.path.open("rb") as file:
            try:
                yield lines()
            except _UNREADABLE:
                raise LineError(number) from None

    @contextmanager
    def held(self, head: Mapping[str, Any]) -> Iterator[None]:
        """Hold the log against any other process; a new one gets `head` as its first line.

        Raises `RefusedError` if it is held, or is not this user's own file, and `OSError`.
        """
        refuse_foreign(self.path)
        make_private_folder(self.path.parent)
        os.close(open_own(self.path, os.O_RDWR | os.O_CREAT))
        held = hold(self.path)
        try:
            self._open()  # not before: what another process is writing looks like a line that was cut short
            if self.is_unwritten():
                self.append_dated(head)
            yield
        finally:
            self.close()
            os.close(held)

    def append(self, line: Mapping[str, Any]) -> None:
        """Append one line; it is on the disk when this returns. Raises `OSError`, and then nothing of it is there."""
        data = json.dumps(line).encode() + b"\n"
        with self._lock:
            file = self._file or self._open()
            if not os.fstat(file.fileno()).st_nlink:  # removed, or replaced, meanwhile: the line would be lost
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
            before = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(file.fileno())
            except OSError:  # a line that a full disk cut short would spoil the next one
                self._file = None
                with file:
                    file.truncate(before)
                raise
            if before == 0:
                sync(self.path.parent)

    @contextmanager
    def paused(self) -> Iterator[bytes]:
        """What the log says; within, nothing is appended."""
        with self._lock:
            yield self.path.read_bytes() if self.path.exists() else b""

    def append_dated(self, line: Mapping[str, Any]) -> None:
        """As `append`, with the time `at` which it was written, in UTC."""
        self.append({**line, "at": datetime.now(UTC).isoformat(timespec="seconds")})

    @property
    def is_open(self) -> bool:
        """Whether it is being written."""
        return self._file is not None

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            file, self._file = self._file, None
            if file:
                file.close()

    def _open(self) -> FileIO:
        """Open the file for appending, without what a crash cut short: it would spoil the next line."""
        handle = open_own(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        _drop_torn_line(self._file)
        return self._file


_logs: weakref.WeakSet[SyncedLog] = weakref.WeakSet()


def logs_in(folder: Path) -> list[SyncedLog]:
    """The logs within a folder that this process has open."""
    return [log for log in [*_logs] if log.is_open and log.path.is_relative_to(folder)]


def _drop_torn_line(file: FileIO) -> None:
    """Drop what stands after the last complete line. Reads no more than that: a journal can be huge."""
    end = place = file.seek(0, os.SEEK_END)
    found = -1
    while place and found < 0:
        begin = max(0, place - _BLOCK)
        file.seek(begin)
        found = file.read(place - begin).rfind(b"\n")
        place = begin
    if place + found + 1 < end:
        file.truncate(place + found + 1)
        os.fsync(file.fileno())
