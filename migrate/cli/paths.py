"""The types of parameters that are paths, and the guard: all of them are checked before a command does anything.

A parameter that names a file or a folder has one of these types, by which the guard knows what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from migrate.model.errors import RefusedError, UsageError

# By these files a snapshot and a mapped folder are known.
_OURS = (("manifest.json", "services.parquet"), ("summary.json", "push-config.yaml"))


class PathType(click.Path):
    """A file or a folder. Use one of those below."""

    def __init__(self, *, exists: bool = False, file: bool = True, folder: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file, dir_okay=folder, path_type=Path)

    def journal_of(self, path: Path) -> Path | None:
        """The journal that is written for it where no other is named; None where none is."""
        return None


class InFile(PathType):
    """A file to read, or also a folder with `or_folder`; `journal` is the ending of its journal."""

    def __init__(self, *, exists: bool = False, or_folder: bool = False, journal: str = "") -> None:
        super().__init__(exists=exists, folder=or_folder)
        self._journal = journal

    def journal_of(self, path: Path) -> Path | None:
        """The file beside it with that ending."""
        return path.with_suffix(self._journal) if self._journal else None


class InFolder(PathType):
    """A folder to read."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, file=False)


class InSnapshot(InFolder):
    """A snapshot to read."""

    def journal_of(self, path: Path) -> Path | None:
        """The journal of its retirement, beside it."""
        from migrate.retire.retirement import JOURNAL

        place = path.resolve()
        return place.parent / (place.name + JOURNAL)


class InEither(InFile):
    """A snapshot, a mapped folder or a plan to read."""

    def __init__(self) -> None:
        super().__init__(or_folder=True)

    def journal_of(self, path: Path) -> Path | None:
        """The journal of a plan, or of a snapshot's retirement, beside it."""
        from migrate.model.plan import JOURNAL

        return InSnapshot().journal_of(path) if path.is_dir() else path.with_suffix(JOURNAL)


class OutFile(PathType):
    """A file to write: `apart` from the folders that the command makes, or the `journal`.

    One that `stays` is a report or a list that somebody may have read or signed: it is replaced by --overwrite alone.
    """

    def __init__(self, *, apart: bool = False, journal: bool = False, stays: bool = False) -> None:
        super().__init__(folder=False)
        self.apart = apart
        self.is_journal = journal
        self.stays = stays


class OutFolder(PathType):
    """A folder to write, with these files in it. One that `grows` gets files beside those that are there."""

    def __init__(self, *files: str, grows: bool = False) -> None:
        super().__init__(file=False)
        self.files = files
        self.grows = grows


def guard_paths(context: click.Context) -> None:
    """Check all files and folders that a command is given, before it does anything.

    Raises `UsageError` for what is no usable path or named twice, and `RefusedError` for a place where something
    would be lost: within a snapshot or a mapped folder, over a file that is read, over what is no file, over a report
    that is there (unless the command has --overwrite).
    """
    given = list(_given(context))
    folders = [(path, kind) for path, kind, _ in given if isinstance(kind, OutFolder)]
    files = [path for path, kind, _ in given if isinstance(kind, OutFile)]
    files += [path / name for path, kind in folders for name in kind.files]
    read = [path for path, kind, _ in given if isinstance(kind, InFile)]
    if not all(path.name for path in files) or not all(_is_text(path) for path, _, _ in given):
        raise UsageError("A path is empty, or not valid text in this terminal's encoding")
    try:
        if not any(isinstance(kind, OutFile) and kind.is_journal for _, kind, _ in given):
            read += [journal for path, kind, _ in given if (journal := kind.journal_of(path))]
        places = [path.resolve() for path in files]
        within = {folder.resolve() for folder, _ in folders}
        taken = {path.resolve() for path in read} | within
        parents = {parent for place in (*places, *within) for parent in place.parents}
        parents |= {folder.resolve() for folder, kind in folders if kind.grows}
    except (OSError, RuntimeError):
        raise UsageError("A path leads in a circle") from None
    if len(set(places)) < len(places) or taken & set(places):
        raise UsageError("One file is named twice")
    for path, kind, option in given:
        if isinstance(kind, OutFile) and kind.apart and within & set(path.resolve().parents):
            raise UsageError(f"{option} is within the folder that is made", remedy="Name a file beside that folder")
    _refuse_what_is_there(sorted(parents), places)
    if not context.params.get("overwrite"):
        reports = [path for path, kind, _ in given if isinstance(kind, OutFile) and kind.stays]
        _refuse_reports([*reports, *(path / name for path, kind in folders for name in kind.files)])


def _refuse_reports(paths: Sequence[Path]) -> None:
    if there := [str(path) for path in paths if path.exists()]:
        raise RefusedError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and not overwritten",
            kept="Nothing was done",
            remedy="Name another place, or replace it with --overwrite",
        )


def _refuse_what_is_there(parents: Sequence[Path], places: Sequence[Path]) -> None:
    for parent in parents:
        if any(all((parent / name).exists() for name in names) for names in _OURS):
            raise RefusedError(
                f"{parent} is a snapshot or a mapped folder: nothing else is written into it",
                remedy="Name a place beside that folder, with the same command",
            )
    for place in places:
        if place.exists() and not place.is_file():
            raise RefusedError(f"{place} is there, and is no file", remedy="Name another file, with the same command")


def _given(context: click.Context) -> Iterator[tuple[Path, PathType, str]]:
    """Each path that was given or is the default, with its type and the option's name."""
    for param in context.command.params:
        value: Any = context.params.get(param.name or "")
        if isinstance(param.type, PathType):
            for path in value if isinstance(value, tuple) else (value,):
                if path is not None:
                    yield path, param.type, param.opts[0]


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
