"""Writes a mapped folder: whole or not at all, and never over what a person has written."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from migrate.map.mapped_bindings import PART
from migrate.map.mapped_folder import BINDINGS, CONFIG, RULES, SUMMARY, Summary
from migrate.model.digest import canonical_json
from migrate.model.errors import RefusedError, UsageError
from migrate.model.push_config import ServiceConfig
from migrate.storage.files import PARTIAL, drop_folder, make_own_folder, sha256_of, sync, write_whole
from migrate.storage.lock import hold
from migrate.storage.private import is_own_folder, is_partial_of

FORMER = ".former"
# What a person may have written into: when a new one takes its place, it is kept under a second name.
KEPT = (CONFIG, RULES)
# What the mapper has written into push-config.yaml, whoever edits that: see `migrate.map.reviewed`.
AS_MAPPED = "push-config.as-mapped.yaml"
_WORK = ".work-"
# Its own: parts, work, and second names of edited files that a killed one was writing.
_OWN = re.compile(rf"{BINDINGS}/({PART.pattern})|\.(duckdb|work)-.*|\.[a-z-]+\.edited-\d+\.[^/]*{re.escape(PARTIAL)}")


class MappedWriter:
    """Writes a mapped folder beside its place; it appears, whole, when `finish` is called.

    Tasks write into `work`, which no other run has and which is gone by then: a task that was broken off, or whose
    worker is taken for dead, can write nowhere else. What is part of the result is taken from it (`take`).
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        folder = folder.resolve()
        if folder == Path.cwd():
            raise UsageError("The mapped folder cannot be the current one", remedy="Name another with --out")
        if not folder.name or folder.is_mount():
            raise UsageError(f"{folder} cannot be replaced as a whole", remedy="Name a folder in it with --out")
        self.folder = folder
        self._overwrite = overwrite
        self.scratch = folder.with_name(f".{folder.name}{PARTIAL}")
        self.work = self.scratch / f"{_WORK}{os.urandom(8).hex()}"
        self._former = folder.with_name(f".{folder.name}{FORMER}")
        for place in (self.scratch, self._former):
            if os.path.lexists(place) and (not is_own_folder(place) or _strange(place)):
                raise RefusedError(f"{place} is in the way, and is not the mapper's", remedy="Move it away")
        make_own_folder(self.scratch)
        self._held = hold(self.scratch, folder)
        self._is_finished = False
        try:
            self._clear_up()
            refuse_unless_free(folder, overwrite=overwrite)
        except BaseException:
            self.close()
            raise
        self.bindings = self.scratch / BINDINGS
        for place in (self.bindings, self.work):
            make_own_folder(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing behind but what is finished. What comes later belongs to whoever holds the place then."""
        if not self._is_finished:
            self._restore()
            with suppress(OSError):
                drop_folder(self.work)
            shutil.rmtree(self.scratch, ignore_errors=True)
        os.close(self._held)

    def _restore(self) -> None:
        """Put the former folder back, where only the first of the two renames was done."""
        if self._former.exists() and not self.folder.exists():
            self._former.replace(self.folder)

    def _clear_up(self) -> None:
        """Remove what was left by one that was killed."""
        self._restore()
        if self._former.exists():
            if lost := [name for name in self._left() if is_edited(self._former, name) and not self._has(name)]:
                raise RefusedError(
                    f"{self._former} was left by a mapping that was killed, and its {lost[0]} has been edited",
                    kept="It is as it was",
                    remedy="Move it away first",
                )
            self._remove_former()
        for left in self.scratch.iterdir():
            if left.is_dir():
                # What workers elsewhere do may outlive the run that has asked for it.
                (drop_folder if left.name.startswith(_WORK) else shutil.rmtree)(left)
            else:
                left.unlink(missing_ok=True)

    def _left(self) -> list[str]:
        """What a person may have written into, of the former folder; the rest was removed before it was killed."""
        return [name for name in KEPT if (self._former / name).exists()]

    def _remove_former(self) -> None:
        """Remove the former folder, and first what means nothing without its summary."""
        for name in self._left():
            (self._former / name).unlink()
        shutil.rmtree(self._former)

    def _has(self, name: str) -> bool:
        """Whether the folder has what the former one says in a file, under whatever name."""
        content = (self._former / name).read_bytes()
        return any(path.read_bytes() == content for path in (self.folder / name, *edited_copies(self.folder, name)))

    def take(self, folder: Path) -> None:
        """Take over the parts that a task has written. `finish` syncs their names."""
        for part in folder.iterdir():
            part.rename(self.bindings / part.name)

    def finish(
        self,
        summary: Summary,
        configs: list[ServiceConfig],
        rules: str,
        left_out: Mapping[str, str],
        carried: str | None = None,
    ) -> None:
        """Write the rest and put the folder in place.

        `rules` is their text, `left_out` the names by SID of services without an entry in the push configuration.
        `carried` is the text of the push configuration where edits of another folder are carried over into it.
        """
        refuse_unless_free(self.folder, overwrite=self._overwrite)  # somebody may have put something there
        from migrate.map.push_config_yaml import dump

        drop_folder(self.work)
        sync(self.bindings)
        text = dump(configs, left_out, summary.proposals)
        write_whole(self.scratch / AS_MAPPED, text, private=True)
        write_whole(self.scratch / CONFIG, text if carried is None else carried, private=True)
        write_whole(self.scratch / RULES, rules, private=True)
        written = {CONFIG: sha256_of(self.scratch / AS_MAPPED), RULES: sha256_of(self.scratch / RULES)}
        content = {**summary.to_json(), "written": written}
        write_whole(self.scratch / SUMMARY, canonical_json(content), private=True)
        if not (self.folder / SUMMARY).exists():
            self.scratch.replace(self.folder)  # which may be there, but empty
        else:
            self._keep_edited()
            self.folder.replace(self._former)
            self.scratch.replace(self.folder)
            self._remove_former()
        self._is_finished = True
        sync(self.folder.parent)

    def _keep_edited(self) -> None:
        """Take over what a person has written: edited files under a second name, and those that were kept before."""
        for name in KEPT:
            kept = edited_copies(self.folder, name)
            for path in kept:
                write_whole(self.scratch / path.name, path.read_bytes(), private=True)
            if is_edited(self.folder, name):
                numbers = [int(found[1]) for path in kept if (found := re.search(r"-(\d+)\.\w+$", path.name))]
                copy = self.scratch / _second_name(name).replace("*", str(max(numbers, default=0) + 1))
                write_whole(copy, (self.folder / name).read_bytes(), private=True)


def edited_copies(folder: Path, name: str = CONFIG) -> list[Path]:
    """The files in a mapped folder that were edited before it was mapped again, the oldest first."""
    return sorted(folder.glob(_second_name(name)), key=lambda path: (len(path.name), path.name))


def _second_name(name: str) -> str:
    """The pattern of what an edited file is called when a new one takes its place."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.edited-*.{suffix}"


def _strange(folder: Path) -> list[str]:
    """What lies in a mapped folder and is not the mapper's."""
    ours = {SUMMARY, AS_MAPPED, *KEPT, *(path.name for name in KEPT for path in edited_copies(folder, name))}
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(
        name
        for name in files
        if name not in ours and not _OWN.fullmatch(name) and not any(is_partial_of(one, name) for one in ours)
    )


def refuse_unless_free(folder: Path, *, overwrite: bool = False) -> None:
    """Raise `RefusedError` if a folder holds anything; with `overwrite`, anything but a mapped folder's content."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RefusedError(f"{folder} is there, and is no folder", remedy="Name another with --out")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    is_mapped = {SUMMARY, CONFIG} <= names
    if not overwrite or not is_mapped:
        names_edited = [name for name in KEPT if is_mapped and is_edited(folder, name)]
        edited = f"; its {names_edited[0]} has been edited" if names_edited else ""
        way = "map again with --overwrite, which keeps an edited file under a second name"
        raise RefusedError(
            f"{folder} is not empty{edited}",
            kept="It is as it was",
            remedy=f"Name another folder with --out, or {way}" if is_mapped else "Name another folder with --out",
        )
    if strange := _strange(folder):
        raise RefusedError(
            f"{folder} holds something that is not the mapper's: {strange[0]}",
            kept="It is as it was",
            remedy="Move it away first",
        )
    if not os.access(folder, os.W_OK):
        raise RefusedError(f"{folder} is read-only", kept="It is as it was", remedy="Name another folder with --out")


def is_edited(folder: Path, name: str, written: str = "") -> bool:
    """Whether a file is another than was written, by its own name or as `written`; where that is unknown, it is."""
    try:
        wanted = json.loads((folder / SUMMARY).read_bytes())["written"][written or name]
        return bool(wanted != sha256_of(folder / name))
    except FileNotFoundError as error:
        return Path(error.filename).name != name  # what is gone has no edits to lose
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return True


def as_mapped(folder: Path) -> str | None:
    """What the mapper had written into push-config.yaml, proven by the summary's checksum; None without proof."""
    for name in (CONFIG, AS_MAPPED):
        if (folder / name).is_file() and not is_edited(folder, name, CONFIG):
            return (folder / name).read_bytes().decode()
    return None
