"""One writer to a file or a folder: a lock that lives no longer than the process that holds it.

The lock is the operating system's, taken by filelock, and ends with its process, however that dies. It is on what it
protects: filelock's `FileLock` needs a file beside it, which stays, and where the system has no locks it makes do
with a marker that outlives a killed process. `lock_descriptor` has neither.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from migrate.model.errors import RefusedError
from migrate.storage.private import IS_POSIX, lock, open_own


def hold(path: Path, shown: Path | None = None, *, refused: Callable[[], RefusedError] | None = None) -> int:
    """Lock a file or a folder for as long as the handle is open, or the process lives.

    Raises `RefusedError` if it is held: `refused`, or one that names the folder `shown`, if that is another. Raises
    `OSError` where the file system has no locks.
    """
    handle = os.open(path, os.O_RDONLY) if IS_POSIX else _beside(path)
    try:
        is_free = lock(handle)
    except OSError as error:
        os.close(handle)
        if error.errno != errno.EBADF:
            error.filename = str(path)
            raise
        handle = _beside(path)  # NFS locks only what is open for writing, and so no folder
        is_free = lock(handle)
    if is_free:
        return handle
    os.close(handle)
    if refused:
        raise refused()
    raise RefusedError(f"Another process is writing {shown or path}", remedy="Wait for it, or stop it")


def _beside(path: Path) -> int:
    """A file beside it to lock in its place.

    Windows opens no folder, and lets no other handle read the beginning of a file that is locked.
    """
    place = path.absolute()
    return open_own(place.with_name(f".{place.name}.lock"), os.O_RDWR | os.O_CREAT)
