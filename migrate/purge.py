"""Purge: personal data that has been kept for too long, found and removed. Twilio's limit is 30 days (FACTS.md)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from migrate.map.mapped_bindings import PART
from migrate.map.mapped_folder import BINDINGS, SUMMARY, open_mapped
from migrate.model.errors import MigrateError, RefusedError, reason_of
from migrate.snapshot.checkpoint import CHECKPOINT
from migrate.snapshot.manifest import NAME, PUSH_ERRORS_FILE, read_manifest
from migrate.snapshot.rejected import REJECTED, is_of_rejected
from migrate.snapshot.unfinished import BINDINGS_FOLDER, PUSH_ERRORS_WORK
from migrate.storage.files import PARTIAL
from migrate.storage.lock import hold
from migrate.storage.private import is_partial_of
from migrate.verify.coverage_folder import SCRATCH, WORK, run_time

_FIXED = {NAME, CHECKPOINT, REJECTED, "services.parquet", "credentials.parquet", PUSH_ERRORS_FILE}
_SERVICE = r"service_sid=IS[0-9a-fA-F]{32}"
# What an unfinished snapshot has, named by a line of its checkpoint or not yet.
_UNFINISHED = re.compile(
    rf"{BINDINGS_FOLDER}/{_SERVICE}/(chat|conversations)-[a-z0-9-]+\.parquet"
    rf"|{re.escape(PUSH_ERRORS_WORK)}/(windows\.jsonl|part-[0-9T-]+\.parquet)"
)


@dataclass(frozen=True)
class Kept:
    """Personal data on disk: a snapshot, the bindings of a mapped folder, or live records that `verify` has kept; or
    a folder that cannot be read, or has what a killed `verify` has left.

    `as_of` is the time that it is from; None where that cannot be read. `size` is in bytes. `obstacle` says why it is
    not to be removed, and is empty otherwise.
    """

    path: Path
    kind: Literal["snapshot", "mapped", "rejected", "folder"]
    as_of: datetime | None
    size: int
    obstacle: str = ""

    def to_json(self) -> dict[str, Any]:
        """It as the command line's JSON has it."""
        as_of = self.as_of.isoformat() if self.as_of else None
        return {**vars(self), "path": str(self.path), "as_of": as_of}


def find_kept(folders: Iterable[Path]) -> list[Kept]:
    """All that is known to hold personal data in some folders, at any depth; links are not followed.

    What cannot be looked into is among them, too, with the reason.
    """
    found = {kept.path.resolve(): kept for folder in folders for kept in _in(folder)}
    return sorted(found.values(), key=lambda kept: str(kept.path))


def _in(folder: Path) -> Iterator[Kept]:
    unread: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=unread.append):
        path, kept = Path(place), None
        if NAME in files:
            kept = _snapshot(path)
        elif SUMMARY in files and BINDINGS in folders:
            kept = _mapped(path)
        elif path.name.endswith(PARTIAL) and BINDINGS in folders:
            obstacle = "a mapping that was killed has left it: map to the same place again, or remove it yourself"
            kept = Kept(path, "mapped", None, sum(file.lstat().st_size for file in _files(path, bool)[0]), obstacle)
        elif path.name.partition("-")[0] == WORK and path.parent.name == SCRATCH:
            obstacle = (
                "a verification that was killed has left it, unless one is under way: verify again with the same "
                "--coverage, or remove it yourself"
            )
            kept = Kept(path, "folder", None, sum(file.lstat().st_size for file in _files(path, bool)[0]), obstacle)
        if kept:
            yield kept
        else:
            yield from (_rejected(path / name) for name in sorted(files) if _is_rejected(name))
        if kept and kept.as_of:  # else it may be somebody else's, with snapshots of ours below
            folders.clear()
    for error in unread:
        yield Kept(Path(error.filename), "folder", None, 0, f"it cannot be read: {reason_of(error)}")


def _snapshot(path: Path) -> Kept:
    try:
        as_of = datetime.fromisoformat(read_manifest(path).as_of)
    except (MigrateError, OSError):
        obstacle = "its manifest.json cannot be read, or is not a snapshot's"
        return Kept(path, "snapshot", None, _size(path, _UNFINISHED), obstacle)
    own, foreign = _files(path, _named(path))
    return Kept(path, "snapshot", as_of, sum(file.lstat().st_size for file in own), _obstacle(foreign))


def _mapped(path: Path) -> Kept:
    bindings = path / BINDINGS
    try:
        as_of = datetime.fromisoformat(open_mapped(path).summary.as_of)
    except (MigrateError, OSError):
        obstacle = "its summary.json or push-config.yaml cannot be read"
        return Kept(bindings, "mapped", None, _size(bindings, PART), obstacle)
    own, foreign = _files(bindings, PART.fullmatch)
    return Kept(bindings, "mapped", as_of, sum(file.lstat().st_size for file in own), _obstacle(foreign))


def _is_rejected(name: str) -> bool:
    """Whether that is how the records beside a run's coverage are called, or what a killed run has left of them."""
    return name.endswith(f".{REJECTED}") or (_is_partial(name) and f".{REJECTED}." in name)


def _rejected(path: Path) -> Kept:
    """What stands beside a run's coverage, and has its time in its name."""
    as_of = run_time(path.with_name(path.name.removeprefix(".")) if _is_partial(path.name) else path)
    obstacle = "it is a link" if path.is_symlink() else "" if as_of else "its name does not say its time"
    return Kept(path, "rejected", as_of, path.lstat().st_size, obstacle)


def _named(path: Path) -> Callable[[str], object]:
    """What knows a snapshot's own files by their paths in it: of a finished one, those that its manifest names."""
    manifest = read_manifest(path)
    if manifest.status != "finished":
        return lambda name: name in _FIXED or _UNFINISHED.fullmatch(name) or is_of_rejected(name) or _is_partial(name)
    named = {file.path for file in manifest.files} | _FIXED
    return lambda name: name in named or is_of_rejected(name) or _is_partial(name)


def _is_partial(name: str) -> bool:
    return is_partial_of("", name.rpartition("/")[2])


def _files(folder: Path, is_own: Callable[[str], object]) -> tuple[list[Path], list[Path]]:
    """The files in a folder that are this program's, and all else in it but for folders; links are all else."""
    own: list[Path] = []
    foreign: list[Path] = []
    for place, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(place, name)
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                (own if is_own(path.relative_to(folder).as_posix()) else foreign).append(path)
            elif not stat.S_ISDIR(kind):
                foreign.append(path)
    return own, foreign


def _obstacle(foreign: list[Path]) -> str:
    more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
    return f"it holds something else, too: {min(foreign).name}{more}" if foreign else ""


def _size(folder: Path, own: re.Pattern[str]) -> int:
    return sum(path.lstat().st_size for path in _files(folder, lambda name: name in _FIXED or own.fullmatch(name))[0])


def remove(kept: Kept) -> None:
    """Remove it: the files that are this program's by their names, and the folders that are empty then.

    Raises `RefusedError` while another process writes it, or where something else has come into it; and `OSError`.
    """
    is_file = kept.kind == "rejected"
    held = hold(kept.path.parent if is_file else kept.path)
    try:
        if is_file:
            kept.path.unlink()
            return
        own, foreign = _files(kept.path, _named(kept.path) if kept.kind == "snapshot" else PART.fullmatch)
        if foreign:
            raise RefusedError(f"{kept.path} was left alone: {_obstacle(foreign)}", remedy="Move that away first")
        # The manifest goes last: without it what is left of a removal that was killed would not be found again.
        for path in sorted(own, key=lambda path: path.name == NAME):
            path.unlink()
        for place, _, _ in os.walk(kept.path, topdown=False):
            Path(place).rmdir()
    finally:
        os.close(held)
