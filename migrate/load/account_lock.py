"""One loader at a time for an account: a lock that says who holds it, and lives no longer than its process."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrate.model.errors import RefusedError
from migrate.model.text import lasting
from migrate.storage.files import make_private_folder
from migrate.storage.private import open_own, refuse_foreign


@contextmanager
def only_loader(folder: Path, account_sid: str) -> Iterator[str]:
    """Hold the account's lock, in a private folder of this user's. Gives what is to be said of a dead one's, if any.

    Raises `RefusedError` while another process holds it. It does not reach other machines or other users.
    """
    make_private_folder(folder)
    path = folder / f"{account_sid}.lock"
    refuse_foreign(path)
    handle = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        holder = _holder(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"Another process is writing to account {account_sid}: {holder or 'it does not say which'}",
                kept="Nothing was written",
                remedy="Wait for it, or stop it; then look at what it did with the same command again",
            ) from None
        holder = _holder(handle)
        _write(handle, {"process": os.getpid(), "host": platform.node(), "since": _now().isoformat()})
        try:
            yield f"A load that was killed has left its lock ({holder}); it is taken over" if holder else ""
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _write(handle: int, content: dict[str, Any]) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(content).encode(), 0)
    os.fsync(handle)


def _holder(handle: int) -> str:
    """Who wrote the lock: process, host and age; empty if nobody did."""
    data = os.pread(handle, 4096, 0)
    try:
        said = json.loads(data) if data else {}
        age = _now() - datetime.fromisoformat(said["since"])
        return f"process {int(said['process'])} on {said['host']}, for {lasting(age.total_seconds())}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "unknown" if data else ""
