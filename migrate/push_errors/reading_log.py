"""How far a reading of alerts has come, on the disk: a part for each window that is through, and a synced line.

A part file is put in place first; then one line names it. Killed at any instant, the next run drops what no line
names, and reads the windows that are left.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from migrate.model.schemas import PUSH_ERRORS
from migrate.push_errors.windows import Window
from migrate.storage.files import make_own_folder, sha256_of, write_whole
from migrate.storage.parquet import parquet_bytes, table_of
from migrate.storage.private import is_partial_of
from migrate.storage.synced_log import LineError, SyncedLog

LOG = "windows.jsonl"


@dataclass
class Counted:
    """How many alerts were read, how many of them could not be, and how many windows may lack some."""

    alerts: int = 0
    unfit: int = 0
    incomplete: int = 0


def begun_head(folder: Path) -> Mapping[str, Any] | None:
    """What the reading in a folder was begun with; None without one that can be read."""
    try:
        with SyncedLog(folder / LOG).reading() as lines:
            head = next(lines)
            times = [datetime.fromisoformat(head[name]) for name in ("since", "until")]
            return head if all(time.tzinfo for time in times) else None
    except (OSError, LineError):
        return None


@dataclass
class ReadingLog:
    """A reading in the making, in a folder of its own, by one process."""

    folder: Path
    head: Mapping[str, Any]  # what a reading that is resumed must share with its beginning
    waiting: set[Window] = field(default_factory=set)
    parts: list[Path] = field(default_factory=list)
    counted: Counted = field(default_factory=Counted)

    def open(self, window: Window) -> None:
        """Begin with a window, or resume what was begun with the same `head`. Raises `OSError`."""
        make_own_folder(self.folder)
        self._log = SyncedLog(self.folder / LOG)
        self.waiting = {window}
        try:
            with self._log.reading() as lines:
                if next(lines, None) != self.head:
                    raise ValueError("another reading")
                for line in lines:
                    self._take(line)
        except (FileNotFoundError, LineError):
            self._begin(window)
        self._drop_unnamed()

    def _begin(self, window: Window) -> None:
        self.close()
        shutil.rmtree(self.folder)
        make_own_folder(self.folder)
        self.waiting, self.parts, self.counted = {window}, [], Counted()
        self._log.append(self.head)

    def done(self, window: Window, rows: list[dict[str, Any]], counted: Counted) -> None:
        """Store what a window had. Raises `OSError`."""
        part = None
        if rows:
            data = parquet_bytes(table_of(rows, PUSH_ERRORS))
            path = self.folder / f"part-{window.begin:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}.parquet"
            write_whole(path, data, private=True, sweeps=False)
            part = {"name": path.name, "sha256": sha256_of(path)}
        self._write({**_spelt(window), "part": part, **vars(counted)})

    def split(self, window: Window, pieces: list[Window]) -> None:
        """Put windows in the place of one."""
        self._write({**_spelt(window), "pieces": [_spelt(piece) for piece in pieces]})

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()

    def remove(self) -> None:
        """Remove all of it, once its parts have become one file."""
        self.close()
        shutil.rmtree(self.folder)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._log.append(line)
        self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        window = _window(line)
        self.waiting.remove(window)
        if "pieces" in line:
            self.waiting |= {_window(piece) for piece in line["pieces"]}
            return
        if part := line["part"]:
            path = self.folder / Path(part["name"]).name
            if not path.is_file() or sha256_of(path) != part["sha256"]:
                raise ValueError("a part is not what was written")
            self.parts.append(path)
        for name in vars(self.counted):
            setattr(self.counted, name, getattr(self.counted, name) + int(line[name]))

    def _drop_unnamed(self) -> None:
        named = {self.folder / LOG, *self.parts}
        for path in self.folder.iterdir():
            if path not in named and (path.suffix == ".parquet" or is_partial_of("", path.name)):
                path.unlink()


def _spelt(window: Window) -> dict[str, str]:
    return {"begin": window.begin.isoformat(), "end": window.end.isoformat()}


def _window(line: Mapping[str, Any]) -> Window:
    return Window(datetime.fromisoformat(line["begin"]), datetime.fromisoformat(line["end"]))
