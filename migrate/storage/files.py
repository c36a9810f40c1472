"""Files that are either whole or absent, and private where they hold personal data."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from migrate.storage.places import shown
from migrate.storage.private import PARTIAL, Unfinished, make_own_folder, make_private_folder, sync

__all__ = [
    "PARTIAL",
    "drop_folder",
    "free_path",
    "make_own_folder",
    "make_private_folder",
    "private_file",
    "sha256_of",
    "sync",
    "write_whole",
]


def write_whole(path: Path, data: bytes | str, *, private: bool = False, sweeps: bool = True) -> None:
    """Write a file beside its place, sync it, and put it in place in one step; see `Unfinished`.

    Whatever happens, `path` holds either its former content or the new one. `private` makes it 0600. In a text, what
    is worked on here goes by its URL.
    """
    unfinished = Unfinished(path, private=private, sweeps=sweeps)
    try:
        unfinished.file.write(shown(data).encode() if isinstance(data, str) else data)
    except BaseException:
        unfinished.discard()
        raise
    unfinished.finish()


def drop_folder(path: Path) -> None:
    """Remove a folder of our own that others may still write into: under its name they find nothing any more.

    What a task writes that was broken off, or given up with its worker, it writes by names in this folder. Where
    there is none, nothing is done. Raises `OSError`.
    """
    dropped = path.with_name(f"{path.name}-{os.urandom(8).hex()}")
    try:
        path.rename(dropped)
    except FileNotFoundError:
        return
    shutil.rmtree(dropped)


def free_path(path: Path) -> Path:
    """The path, or with a number in its name where something is there already."""
    found, number = path, 2
    while found.exists():
        found, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    return found


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A 0600 file to write piece by piece: in its place, and synced, when the block has ended well, or not at all."""
    unfinished = Unfinished(path)
    try:
        yield unfinished.file
    except BaseException:
        unfinished.discard()
        raise
    unfinished.finish()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
