"""A file of synced lines with one writer: what every journal is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrate.snapshot.checkpoint import complete_lines
from migrate.snapshot.files import make_private_folder, write_whole
from migrate.snapshot.lock import hold


def is_unwritten(path: Path, first: bytes) -> bool:
    """Whether there is no such file, or only what is left of one whose writer was killed within its first line.

    `first` is how that line begins, in every file of its kind.
    """
    if not path.exists():
        return True
    data = path.read_bytes()[: len(first) + 4096]
    return b"\n" not in data and (data.startswith(first) or first.startswith(data))


@contextmanager
def held_for_lines(path: Path, *, is_new: bool) -> Iterator[None]:
    """Hold a private file against any other process, ready for the next line. Raises `RefusedError` if it is held."""
    make_private_folder(path.parent)
    if is_new:
        write_whole(path, b"", private=True)
    else:
        complete_lines(path)  # what a crash cut short would spoil the next line
    held = hold(path)
    try:
        yield
    finally:
        os.close(held)
