"""Each binding once: a list that moves while it is paged can show the same row on two pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_Keys = np.ndarray[Any, np.dtype[np.uint64]]
MOST_KEYS = 4_000_000  # of 8 bytes
SID_LENGTH = 34  # two letters and 32 hexadecimal digits


class Keys:
    """A number for each `sid` that this process has stored: where no two are the same, no sid repeats.

    That is nearly always so, and then the parts need not be read again. Past `MOST_KEYS`, or with SIDs of another
    form than Twilio's, it does not know. Its methods may be called from several threads.
    """

    def __init__(self) -> None:
        self._parts: dict[Path, _Keys] = {}
        self._many = 0
        self._lock = threading.Lock()

    def add(self, part: Path, sids: pa.ChunkedArray) -> None:
        """Take the sids of a part."""
        arrays = [array for chunk in sids.chunks if (array := _keys(chunk)) is not None]
        keys = np.concatenate(arrays) if arrays else np.empty(0, np.uint64)
        with self._lock:
            self._many += len(sids)
            if self._many > MOST_KEYS:
                self._parts.clear()
            elif len(keys) == len(sids):
                self._parts[part] = keys

    def are_distinct(self, parts: list[Path]) -> bool:
        """Whether all these parts are known, and no two of their sids have the same key. The parts are let go."""
        arrays = [found for part in parts if (found := self._parts.pop(part, None)) is not None]
        if len(arrays) != len(parts):
            return False
        keys: _Keys = np.concatenate([np.empty(0, np.uint64), *arrays])
        arrays.clear()
        keys.sort()  # in place: there may be millions
        return not bool((keys[1:] == keys[:-1]).any())


def _keys(sids: pa.StringArray) -> _Keys | None:
    """A key for each sid, from its last 16 characters; None if one is not as long as a SID."""
    _, offsets, data = sids.buffers()
    ends = np.frombuffer(offsets, np.int32)[sids.offset : sids.offset + len(sids) + 1]
    if not (np.diff(ends) == SID_LENGTH).all():
        return None
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(sids), SID_LENGTH)
    halves = np.ascontiguousarray(text[:, -16:]).view(np.uint64)
    keys: _Keys = halves[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ halves[:, 1]
    return keys


def without_duplicates(parts: list[Path]) -> Iterator[tuple[Path, pa.Table]]:
    """The parts of one service that hold a row too many, each with the rows that stay.

    `parts` are in the order in which they were read; of two rows with one `sid` the later one stays, being the
    newer answer. One part is in memory at a time, and the sids that repeat.
    """
    repeated = _repeated_sids(parts)
    seen: set[str] = set()
    for path in reversed(parts) if repeated else ():
        table = pq.ParquetFile(path).read()
        keep: list[bool] = []
        for sid in reversed(table.column("sid").to_pylist()):
            keep.append(sid not in seen)
            if sid in repeated:
                seen.add(sid)
        if not all(keep):
            yield path, table.filter(pa.array(reversed(keep)))


def _repeated_sids(parts: list[Path]) -> set[str]:
    if not parts:
        return set()
    from migrate.storage.database import LOW_MEMORY_LIMIT, over_parts  # DuckDB is rarely needed here

    with over_parts(parts, parts[0].parent, LOW_MEMORY_LIMIT) as database:
        # By hashes first, which are few bytes each: the second step distinguishes two sids that share one.
        hashes = "SELECT hash(sid) h FROM bindings GROUP BY h HAVING count(*) > 1"
        suspects = [row[0] for row in database.execute(hashes).fetchall()]
        if not suspects:
            return set()
        repeated = "SELECT sid FROM bindings WHERE hash(sid) IN $suspects GROUP BY sid HAVING count(*) > 1"
        return {row[0] for row in database.execute(repeated, {"suspects": suspects}).fetchall()}
