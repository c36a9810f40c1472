"""What a command works on: a file or a folder at a URL, and its copy on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from migrate.remote.lease import Lease, is_claim
from migrate.remote.mirror import KEPT, Mirror
from migrate.remote.store import Entry, Store

Stamp = tuple[int, int]  # what changes with a file: its time and its number


@dataclass
class Place:
    """What is open: a file or a folder at a URL, to be read, or written as well."""

    store: Store
    path: Path
    writes: bool
    mirror: Mirror | None = None
    lease: Lease | None = None
    # The stamps of its files when they were brought; of a file that is written, when it was last stored.
    brought: Mapping[Path, Stamp] = field(default_factory=dict)


def stamps_of(path: Path) -> dict[Path, Stamp]:
    """The stamps of a file, or of those in a folder, but for locks and work, whose names begin with a dot."""
    found: dict[Path, Stamp] = {}
    files = [path] if path.is_file() else []
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    for file in files:
        with suppress(FileNotFoundError):  # it is gone again
            status = file.stat()
            found[file] = status.st_mtime_ns, status.st_ino
    return found


def listed_in(store: Store) -> dict[str, Entry]:
    """What is stored there, without the claims to it, and what was kept of folders that were cleared."""
    return {
        way: entry for way, entry in store.objects().items() if not is_claim(way) and KEPT not in way.split("/")[:-1]
    }
