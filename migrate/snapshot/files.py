"""Files that are either whole or absent, and private where they hold personal data."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"


def make_private_folder(path: Path) -> None:
    """Create a folder, and its parents, that only its owner can enter; an existing one is left as it is."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        sync(path.parent)


def write_whole(path: Path, data: bytes | str, *, private: bool = False) -> None:
    """Write a file beside its place, sync it, and put it in place in one step.

    Whatever happens, `path` holds either its former content or the new one. `private` makes it 0600.
    """
    unfinished = path.with_name(f".{path.name}{PARTIAL}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A 0600 file to write piece by piece: in its place, and synced, when the block has ended well, or not at all."""
    unfinished = path.with_name(f".{path.name}{PARTIAL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync(path.parent)


def append_synced(path: Path, line: str) -> None:
    """Append one line to a private log; it is on the disk when this returns, or nothing of it is.

    A line that a full disk cut short would spoil the next one.
    """
    with open(path, "ab", buffering=0, opener=_open_private) as file:  # Path.open has no opener
        before = file.tell()
        data = line.encode() + b"\n"
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
    if before == 0:
        sync(path.parent)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
