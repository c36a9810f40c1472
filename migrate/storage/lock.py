"""One writer to a folder: a lock that lives no longer than the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from migrate.model.errors import RefusedError


def hold(folder: Path, shown: Path | None = None) -> int:
    """Lock a folder for as long as the handle is open, or the process lives.

    Raises `RefusedError` if it is held; `shown` is the folder that the message names, if it is another.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise RefusedError(
            f"Another process is writing {shown or folder}", remedy="Wait for it, or stop it"
        ) from None
    return handle
