"""A set of SIDs that does not grow in memory: sorted runs in files without a name, and the latest ones beside."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    _Run = np.ndarray[Any, np.dtype[np.bytes_]]

LENGTH = 34  # two letters and 32 hexadecimal digits
RUN = 250_000  # SIDs in memory before they are written


class Sids:
    """SIDs, each added once. Its methods may be called from several threads.

    The files are in `folder` if they can be made there: /tmp is memory on some machines.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: list[_Run] = []
        self._latest: list[bytes] = []
        self._many = 0
        self._lock = threading.Lock()

    def add(self, sid: str) -> None:
        """Add a SID of 34 characters. Raises `OSError` where there is no room for it."""
        with self._lock:
            self._latest.append(sid.encode())
            self._many += 1
            if len(self._latest) >= RUN:
                self._store()

    def _store(self) -> None:
        data = np.sort(np.array(self._latest, f"S{LENGTH}"))
        with _nameless(self._folder) as file:  # what is mapped outlives its handle
            file.write(data.tobytes())
            file.flush()
            self._runs.append(np.memmap(file, f"S{LENGTH}", "r", shape=data.shape))
        self._latest.clear()

    def __len__(self) -> int:
        return self._many

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            runs, latest = [*self._runs], [*self._latest]
        for run in runs:
            yield from (bytes(sid).decode() for sid in run)
        yield from (sid.decode() for sid in latest)

    def __contains__(self, sid: object) -> bool:
        return isinstance(sid, str) and bool(self.among(pa.array([sid]))[0].as_py())

    def among(self, column: pa.Array) -> pa.Array:
        """Which texts of a column are in the set, as booleans."""
        has_form = pc.fill_null(pc.equal(pc.binary_length(column), LENGTH), False)
        texts = pc.if_else(has_form, column, "").cast(pa.binary())
        wanted = np.asarray(texts.to_numpy(zero_copy_only=False), f"S{LENGTH}")
        with self._lock:
            runs: list[_Run] = [*self._runs, np.sort(np.array(self._latest, f"S{LENGTH}"))]
        found = np.zeros(len(wanted), bool)
        for run in runs:
            if len(run):
                places = np.minimum(np.searchsorted(run, wanted), len(run) - 1)
                found |= run[places] == wanted
        return pc.and_(pa.array(found), has_form)


def _nameless(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()
