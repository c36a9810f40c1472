"""A file of synced lines with one writer: what every journal is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrate.storage.files import write_whole
from migrate.storage.lock import hold
from migrate.storage.private import open_own, refuse_foreign

_BLOCK = 4096  # bytes


def is_unwritten(path: Path, first: bytes) -> bool:
    """Whether there is no such file, or only what is left of one whose writer was killed within its first line.

    `first` is how that line begins, in every file of its kind.
    """
    if not path.exists():
        return True
    with path.open("rb") as file:
        data = file.read(len(first) + 4096)
    return b"\n" not in data and (data.startswith(first) or first.startswith(data))


@contextmanager
def held_for_lines(path: Path, *, is_new: bool) -> Iterator[None]:
    """Hold a private file against any other process, ready for the next line. Raises `RefusedError` if it is held."""
    refuse_foreign(path)
    if is_new:
        write_whole(path, b"", private=True)
    held = hold(path)
    try:
        _drop_torn_line(path)
        yield
    finally:
        os.close(held)


def _drop_torn_line(path: Path) -> None:
    """Drop what a crash cut short: it would spoil the next line. Reads no more than that: a journal can be huge."""
    with os.fdopen(open_own(path, os.O_RDWR), "r+b") as file:
        end = place = file.seek(0, os.SEEK_END)
        found = -1
        while place and found < 0:
            begin = max(0, place - _BLOCK)
            file.seek(begin)
            found = file.read(place - begin).rfind(b"\n")
            place = begin
        if place + found + 1 < end:
            file.truncate(place + found + 1)
            file.flush()
            os.fsync(file.fileno())
