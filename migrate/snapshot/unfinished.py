"""An unfinished snapshot as it is found: whether a folder can become one, and what it was begun with.

Known before anything is asked for, and so without Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from migrate.model.address import other_address, place
from migrate.model.errors import RefusedError, Step
from migrate.snapshot.checkpoint import CHECKPOINT, ChainState, lines_of
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import Manifest, read_manifest
from migrate.snapshot.rejected import remove_rejected
from migrate.storage.files import PARTIAL
from migrate.storage.synced_log import LineError, SyncedLog

BINDINGS_FOLDER = "bindings"
PUSH_ERRORS_WORK = ".push-errors"  # where alerts are read into, until they are a file of the snapshot


def begun_in(folder: Path) -> Manifest | None:
    """The manifest of the unfinished snapshot in a folder; None without one."""
    return read_manifest(folder) if (folder / MANIFEST).exists() else None


def refuse_other_address(folder: Path, begun: Manifest, addresses: Mapping[str, str]) -> None:
    """Raise `RefusedError` if a snapshot was begun from other addresses than it would be resumed from.

    It would hold what two servers have. One that was begun by an earlier version does not say from where.
    """
    if not begun.addresses:
        raise RefusedError(
            f"{folder} was begun by an earlier version, and does not say from which address",
            kept="It is unchanged",
            remedy="Start over with --restart",
        )
    if api := other_address(begun.addresses, addresses):
        then, now = begun.addresses[api], addresses[api]
        former = f"with --{api}-url {then}" if "://" in then else "where it was begun"
        raise RefusedError(
            f"{folder} was begun from {place(then)}, and would be resumed from {place(now)}",
            kept="It is unchanged",
            remedy=f"Resume it {former}, or start over with --restart",
        )


def refuse_unless_unfinished(folder: Path) -> None:
    """Raise `RefusedError` if a folder holds anything but an unfinished snapshot; absent or empty is fine."""
    # A first write that was cut short is as good as nothing.
    if not folder.exists() or all(path.name.endswith(PARTIAL) for path in folder.iterdir()):
        return
    if not (folder / MANIFEST).exists():
        raise RefusedError(f"{folder} is not empty, and is no snapshot", remedy="Name another folder")
    if read_manifest(folder).status == "finished":
        clear_up(folder)  # after a kill between the last two steps
        raise RefusedError(
            f"{folder} holds a finished snapshot, which is never overwritten",
            remedy=("Name another folder, or continue with: ", Step("map", {"snapshot": folder, "out": "MAPPED"})),
        )


def clear_up(folder: Path) -> None:
    """Remove what only an unfinished snapshot needs."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    remove_rejected(folder)


@dataclass(frozen=True)
class Begun:
    """How far an unfinished snapshot has come: its chains, how many of them are done, and the rows by service."""

    chains: int
    done: int
    rows: Mapping[str, int]
    rejected: int

    def to_json(self) -> dict[str, Any]:
        """The numbers by name."""
        return {**vars(self), "rows": dict(self.rows)}


def read_begun(folder: Path) -> Begun:
    """What the checkpoint of an unfinished snapshot names, which is left as it is; repeated rows are counted, too.

    Raises `RefusedError` for a checkpoint that cannot be read.
    """
    chains: dict[str, ChainState] = {}
    log = SyncedLog(folder / CHECKPOINT)
    try:
        if log.path.exists():
            with log.reading() as lines:
                for line in chain.from_iterable(map(lines_of, lines)):
                    name, sid = str(line["chain"]), str(line["service_sid"])
                    if line.get("restart"):
                        chains[name] = ChainState(sid)
                    else:
                        chains.setdefault(name, ChainState(sid)).take(line)
    except LineError as error:
        raise RefusedError(
            f"The unfinished snapshot {folder} does not agree with its {CHECKPOINT}: line {error.number:,}",
            kept="It is unchanged",
            remedy="Start over with --restart",
        ) from None
    rows: dict[str, int] = {}
    for state in chains.values():
        rows[state.service_sid] = rows.get(state.service_sid, 0) + sum(part.rows for part in state.parts)
    rejected = sum(file.rows for state in chains.values() for file in state.rejected)
    return Begun(len(chains), sum(state.done for state in chains.values()), rows, rejected)
