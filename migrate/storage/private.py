"""Private files and folders: created exclusively under unguessable names, and never through a link.

In a folder that others can write to, a name can be taken before we use it: by a link that leads to another file, or
by a file that somebody has open already. So a file is created by `O_EXCL` and `O_NOFOLLOW` under a random name in its
own folder, gets its mode whatever the umask is, and is renamed into its place. What is appended to must be a regular
file of this user.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from migrate.model.errors import RefusedError

PARTIAL = ".partial"
_SHOWN = 40  # characters of a file's name in that of its unfinished one: together they fit into any file system
_RANDOM = 8  # bytes
_FILE, _FOLDER = 0o600, 0o700
# Whether files have an owner and a mode. On Windows they have the access list of their folder.
IS_POSIX = hasattr(os, "geteuid")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK


def is_partial_of(name: str, found: str) -> bool:
    """Whether `found` is how an unfinished file of this name is called, or of any name where that is empty.

    Earlier versions left out the random part.
    """
    shown = re.escape(name[:_SHOWN]) or ".+"
    return re.fullmatch(rf"\.{shown}(\.[0-9a-f]{{{_RANDOM * 2}}})?{re.escape(PARTIAL)}", found) is not None


def make_private_folder(path: Path) -> None:
    """Create a folder, and those above it that are missing, for their owner alone, whatever the umask is.

    An existing one is left as it is.
    """
    if path.is_dir():
        return
    make_private_folder(path.parent)
    try:
        path.mkdir(mode=_FOLDER)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if IS_POSIX and stat.S_IMODE(path.lstat().st_mode) & 0o777 != _FOLDER:
        path.chmod(_FOLDER)
    sync(path.parent)


def make_own_folder(path: Path) -> None:
    """As `make_private_folder`, for a folder that holds personal data and that no user has named.

    One that exists must be this user's and no link, and is closed to others. Raises `RefusedError`.
    """
    make_private_folder(path)
    if not is_own_folder(path):
        raise RefusedError(
            f"{path} is a link, or another user's folder", remedy="Move it away, or name another place"
        )
    if IS_POSIX and stat.S_IMODE(path.lstat().st_mode) & 0o077:
        path.chmod(_FOLDER)


def is_own_folder(path: Path) -> bool:
    """Whether a path is a folder of this user, and not a link to one."""
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and _is_mine(found)


def _is_mine(found: os.stat_result) -> bool:
    return not IS_POSIX or found.st_uid == os.geteuid()


def lock(handle: int, *, blocking: bool = False) -> bool:
    """Lock an open file for as long as it is open; False where another process has it. Raises `OSError`.

    A child that a process forks shares its lock, and keeps it until both have closed the file.
    """
    from filelock import lock_descriptor  # here, because no command needs it before it writes

    return lock_descriptor(handle, blocking=blocking)


class Unfinished:
    """A file beside its place: `finish` puts it there, synced, in one step; `discard` leaves nothing of it.

    A link at that place is replaced, and not followed. What killed runs have left of the same file is removed first,
    where `sweeps`; what another process is writing meanwhile is locked, and stays. A file that is not `private` can
    be read by others as the umask has it, and is never writable for them.
    """

    def __init__(self, path: Path, *, private: bool = True, sweeps: bool = True) -> None:
        self._path = path
        make_private_folder(path.parent)
        with _named(path):
            if sweeps:
                sweep(path.parent, path.name)
            self._unfinished, handle = _create(path, _FILE if private else 0o644)
        try:
            if private and IS_POSIX and stat.S_IMODE(os.fstat(handle).st_mode) != _FILE:
                os.fchmod(handle, _FILE)
            self.file: BinaryIO = os.fdopen(handle, "wb")
        except BaseException:
            os.close(handle)
            self.discard()
            raise

    def finish(self) -> None:
        """Put the file in its place. Raises `OSError`, and then nothing is left of it."""
        try:
            with _named(self._path):
                self.file.flush()
                os.fsync(self.file.fileno())
                if not IS_POSIX:
                    self.file.close()  # Windows renames no open file, and removes none: it needs no lock there
                self._unfinished.replace(self._path)  # before it is closed, which gives up its lock
                self.file.close()
        except BaseException:
            self.discard()
            raise
        sync(self._path.parent)

    def discard(self) -> None:
        """Remove the file."""
        file = getattr(self, "file", None)
        if file is not None:
            with suppress(OSError):  # of a full disk, when the rest is flushed
                file.close()
        with suppress(OSError):
            self._unfinished.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have an error name the file that is written, and not the one beside it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _create(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside a path, and its handle, which holds its lock."""
    while True:
        unfinished = path.with_name(f".{path.name[:_SHOWN]}.{os.urandom(_RANDOM).hex()}{PARTIAL}")
        handle = os.open(unfinished, _NEW, mode)
        with suppress(OSError):  # a file system without locks: then nothing is swept there either
            lock(handle, blocking=True)
        if os.fstat(handle).st_nlink:
            return unfinished, handle
        os.close(handle)  # swept before it was locked


def create_private(path: Path) -> int:
    """Create a file of mode 0600 in a folder of our own, and give its handle. Raises `OSError` if it exists."""
    handle = os.open(path, _NEW, _FILE)
    if IS_POSIX:
        os.fchmod(handle, _FILE)
    return handle


def sweep(folder: Path, name: str = "") -> None:
    """Remove this user's unfinished files in a folder, of all names or one, that no process is writing any more."""
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if is_partial_of(name, entry.name)]
    for path in left:
        with suppress(OSError):  # it is in use, or another's, or has been removed meanwhile
            if not IS_POSIX:
                path.unlink()  # which fails for what is in use
                continue
            handle = open_own(path, os.O_WRONLY)
            try:
                if lock(handle):
                    path.unlink()
            finally:
                os.close(handle)


def open_own(path: str | Path, flags: int) -> int:
    """Open a regular file of this user, and close it to others; with `O_CREAT` it may be new. Raises `OSError`."""
    if not _NO_LINK and Path(path).is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    handle = os.open(path, flags | _NO_LINK | getattr(os, "O_NONBLOCK", 0), _FILE)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not _is_mine(found):
            raise PermissionError(errno.EPERM, "not a regular file of this user", str(path))
        if IS_POSIX and stat.S_IMODE(found.st_mode) & 0o7777 != _FILE:
            os.fchmod(handle, _FILE)
    except BaseException:
        os.close(handle)
        raise
    return handle


def refuse_foreign(path: Path) -> None:
    """Raise `RefusedError` for what is not safe to append to: a link, no regular file, or another user's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        what = "is a link, and private files are not written through one"
    elif not stat.S_ISREG(found.st_mode):
        what = "is not a regular file"
    elif not _is_mine(found):
        what = "belongs to another user"
    else:
        return
    raise RefusedError(f"{path} {what}", remedy="Name another file")


def own_place(path: Path) -> Path:
    """Where a path leads. A link is followed where it is this user's own; another's raises `RefusedError`."""
    if path.is_symlink() and not _is_mine(path.lstat()):
        raise RefusedError(f"{path} is a link that another user has made", remedy="Name another file")
    return path.resolve()


def sync(path: Path) -> None:
    """Make the names in a folder survive a power loss. Windows opens no folder, and does that by itself."""
    if not IS_POSIX:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
