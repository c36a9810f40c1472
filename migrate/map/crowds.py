"""What no single binding shows: identities with many bindings, endpoints under several identities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from migrate.snapshot.database import over_parts

_MEMORY_LIMIT = "256MB"  # enough for 10 million hashes; beyond it DuckDB goes to the disk
# By hashes first, which are few bytes each; then the texts themselves, of those few whose hash is found too often.
_SUSPECTS = """
    CREATE OR REPLACE TEMP TABLE suspects AS
    SELECT hash({key}) AS h FROM bindings WHERE {key} <> '' GROUP BY h HAVING count(*) > $limit
"""
_CROWDED = """
    SELECT {key} FROM bindings WHERE {key} <> '' AND hash({key}) IN (FROM suspects)
    GROUP BY {key} HAVING {counted} > $limit ORDER BY {key}
"""


@dataclass(frozen=True)
class Crowds:
    """Texts of one service that stand in too many of its bindings, each once and in order.

    `identities` have more bindings than is usual; `endpoints` stand under more than one identity.
    """

    identities: pa.StringArray
    endpoints: pa.StringArray


NO_CROWDS = Crowds(pa.array([], pa.string()), pa.array([], pa.string()))


def find_crowds(parts: list[Path], limit: int, scratch: Path) -> Crowds:
    """Look through the bindings of one service for identities with more than `limit`, and for shared endpoints.

    What is null or empty is in no crowd, and is nobody. `scratch` is a folder for what does not fit into memory; the
    parts are only read.
    """
    if not parts:
        return NO_CROWDS
    with over_parts(parts, scratch, _MEMORY_LIMIT) as database:
        return Crowds(
            identities=_crowded(database, "identity", "count(*)", limit),
            endpoints=_crowded(database, "endpoint", "count(DISTINCT nullif(identity, ''))", 1),
        )


def _crowded(database: duckdb.DuckDBPyConnection, key: str, counted: str, limit: int) -> pa.StringArray:
    """The texts of a column, in order, of whose rows more are counted than the limit."""
    database.execute(_SUSPECTS.format(key=key), {"limit": limit})
    found = database.sql(_CROWDED.format(key=key, counted=counted), params={"limit": limit})
    return found.to_arrow_table().column(key).combine_chunks()
