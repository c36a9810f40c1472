"""One loader at a time for an account: a lock that says who holds it, and lives no longer than its process."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from migrate.model.errors import RefusedError
from migrate.model.text import lasting
from migrate.storage.files import make_private_folder
from migrate.storage.lock import hold
from migrate.storage.private import open_own, refuse_foreign


@contextmanager
def only_loader(folder: Path, account_sid: str) -> Iterator[str]:
    """Hold the account's lock, in a private folder of this user's. Gives what is to be said of a dead one's, if any.

    Raises `RefusedError` while another process holds it. It does not reach other machines or other users.
    """
    make_private_folder(folder)
    path = folder / f"{account_sid}.lock"
    refuse_foreign(path)
    with os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0) as file:

        def refused() -> RefusedError:
            return RefusedError(
                f"Another process is writing to account {account_sid}: {_holder(file) or 'it does not say which'}",
                kept="Nothing was written",
                remedy="Wait for it, or stop it; then look at what it did with the same command again",
            )

        held = hold(path, refused=refused)
        try:
            holder = _holder(file)
            file.truncate(0)
            file.seek(0)
            own = {"process": os.getpid(), "host": platform.node(), "since": _now().isoformat()}
            file.write(json.dumps(own).encode())
            os.fsync(file.fileno())
            try:
                yield f"A load that was killed has left its lock ({holder}); it is taken over" if holder else ""
            finally:
                file.truncate(0)
        finally:
            os.close(held)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _holder(file: FileIO) -> str:
    """Who wrote the lock: process, host and age; empty if it is empty."""
    file.seek(0)
    data = file.read(4096)
    try:
        said = json.loads(data) if data else {}
        age = _now() - datetime.fromisoformat(said["since"])
        return f"process {int(said['process'])} on {said['host']}, for {lasting(age.total_seconds())}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "unknown" if data else ""
