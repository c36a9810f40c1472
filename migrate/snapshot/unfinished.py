"""An unfinished snapshot as it is found: whether a folder can become one, and what it was begun with.

Known before anything is asked for, and so without Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from migrate.model.address import other_address, place
from migrate.model.errors import RefusedError, Step
from migrate.snapshot.checkpoint import CHECKPOINT
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import Manifest, read_manifest
from migrate.snapshot.rejected import remove_rejected
from migrate.storage.files import PARTIAL

BINDINGS_FOLDER = "bindings"


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
            remedy=("Name another folder, or resume with: ", Step("map", {"snapshot": folder, "out": "MAPPED"})),
        )


def clear_up(folder: Path) -> None:
    """Remove what only an unfinished snapshot needs."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    remove_rejected(folder)
