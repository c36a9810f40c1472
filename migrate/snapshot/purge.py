"""Purge: personal data that has been kept for too long, found and removed. Twilio's limit is 30 days (FACTS.md)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from migrate.model.errors import MigrateError
from migrate.snapshot.checkpoint import CHECKPOINT
from migrate.snapshot.coverage import time_of
from migrate.snapshot.files import PARTIAL
from migrate.snapshot.lock import hold
from migrate.snapshot.manifest import NAME, read_manifest
from migrate.snapshot.mapped import BINDINGS, SUMMARY, open_mapped
from migrate.snapshot.writer import BINDINGS_FOLDER, REJECTED

_OF_A_SNAPSHOT = {NAME, CHECKPOINT, REJECTED, BINDINGS_FOLDER, "services.parquet", "credentials.parquet"}


@dataclass(frozen=True)
class Kept:
    """Personal data on disk: a snapshot, the bindings of a mapped folder, or live records that `verify` has kept.

    `as_of` is the time that it is from; None where that cannot be read. `size` is in bytes. `obstacle` says why it is
    not to be removed, and is empty otherwise.
    """

    path: Path
    kind: Literal["snapshot", "mapped", "rejected"]
    as_of: datetime | None
    size: int
    obstacle: str = ""

    def to_json(self) -> dict[str, Any]:
        """It as the command line's JSON has it."""
        as_of = self.as_of.isoformat() if self.as_of else None
        return {**vars(self), "path": str(self.path), "as_of": as_of}


def find_kept(folders: Iterable[Path]) -> list[Kept]:
    """All that is known to hold personal data in some folders, at any depth; links are not followed."""
    found = {kept.path.resolve(): kept for folder in folders for kept in _in(folder)}
    return sorted(found.values(), key=lambda kept: str(kept.path))


def _in(folder: Path) -> Iterator[Kept]:
    for place, folders, files in os.walk(folder):
        path = Path(place)
        if NAME in files:
            folders.clear()
            yield _snapshot(path)
        elif SUMMARY in files and BINDINGS in folders:
            folders.clear()
            yield _mapped(path)
        else:
            yield from (_rejected(path / name) for name in sorted(files) if name.endswith(f".{REJECTED}"))


def _snapshot(path: Path) -> Kept:
    foreign = [
        item.name for item in path.iterdir() if item.name not in _OF_A_SNAPSHOT and not item.name.endswith(PARTIAL)
    ]
    try:
        as_of = datetime.fromisoformat(read_manifest(path).as_of)
    except MigrateError:
        return Kept(path, "snapshot", None, _size(path), "its manifest.json cannot be read")
    obstacle = f"it holds something else, too: {min(foreign)}" if foreign else ""
    return Kept(path, "snapshot", as_of, _size(path), obstacle)


def _mapped(path: Path) -> Kept:
    bindings = path / BINDINGS
    try:
        as_of = datetime.fromisoformat(open_mapped(path).summary.as_of)
    except MigrateError:
        return Kept(bindings, "mapped", None, _size(bindings), "its summary.json or push-config.yaml cannot be read")
    foreign = [item.name for item in bindings.rglob("*") if item.is_file() and item.suffix != ".parquet"]
    obstacle = f"it holds something else, too: {min(foreign)}" if foreign else ""
    return Kept(bindings, "mapped", as_of, _size(bindings), obstacle)


def _rejected(path: Path) -> Kept:
    """What stands beside a run's coverage, and has its time in its name."""
    as_of = time_of(path)
    return Kept(path, "rejected", as_of, path.lstat().st_size, "" if as_of else "its name does not say its time")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def remove(kept: Kept) -> None:
    """Remove it. Raises `RefusedError` while another process writes it, and `OSError`."""
    is_file = kept.kind == "rejected"
    held = hold(kept.path.parent if is_file else kept.path)
    try:
        if is_file:
            kept.path.unlink()
        else:
            shutil.rmtree(kept.path)
    finally:
        os.close(held)
