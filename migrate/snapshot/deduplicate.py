"""Each binding once: a list that moves while it is paged can show the same row on two pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.snapshot.database import over_parts


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
    with over_parts(parts, parts[0].parent) as query:
        return {row[0] for row in query("SELECT sid FROM bindings GROUP BY sid HAVING count(*) > 1")}
