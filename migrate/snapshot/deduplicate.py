"""Each binding once: a list that moves while it is paged can show the same row on two pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrate.snapshot.files import write_whole


def drop_duplicates(parts: list[Path], encode: Callable[[pa.Table], bytes]) -> set[Path]:
    """Leave each `sid` once in the parts of one service, and return the parts that were written anew.

    `parts` are in the order in which they were read; of two rows the later one stays, being the newer answer.
    Running it again changes nothing. Only the sids that repeat are held in memory.
    """
    repeated = _repeated_sids(parts)
    changed: set[Path] = set()
    seen: set[str] = set()
    for path in reversed(parts) if repeated else ():
        table = pq.ParquetFile(path).read()
        keep: list[bool] = []
        for sid in reversed(table.column("sid").to_pylist()):
            keep.append(sid not in seen)
            if sid in repeated:
                seen.add(sid)
        if not all(keep):
            mask = pa.array(reversed(keep))
            write_whole(path, encode(table.filter(pc.equal(mask, True))), private=True)
            changed.add(path)
    return changed


def _repeated_sids(parts: list[Path]) -> set[str]:
    if not parts:
        return set()
    with duckdb.connect() as database:
        rows = database.execute(
            "SELECT sid FROM read_parquet(?, hive_partitioning=false) GROUP BY sid HAVING count(*) > 1",
            [[str(path) for path in parts]],
        ).fetchall()
    return {row[0] for row in rows}
