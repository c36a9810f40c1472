"""Findings that no single binding shows: endpoints shared by identities, identities with many bindings."""

from __future__ import annotations

from pathlib import Path

import duckdb

from migrate.map.bindings import Tally
from migrate.map.rules import Rules
from migrate.model.finding import MAX_EXAMPLES

_QUERY = """
    WITH bindings AS (SELECT sid, identity, endpoint FROM read_parquet($parts, hive_partitioning = false))
    SELECT count(*), min(sid, $examples) FROM bindings WHERE {key} IN (
        SELECT {key} FROM bindings WHERE {key} IS NOT NULL GROUP BY {key} HAVING {crowded}
    )
"""
_SHARED = _QUERY.format(key="endpoint", crowded="count(DISTINCT identity) > 1")
_CROWDED = _QUERY.format(key="identity", crowded="count(*) > $limit")


def note_crowds(parts: list[Path], rules: Rules, tally: Tally) -> None:
    """Look through the bindings of one service, and note what it finds in the service's tally."""
    if not parts:
        return
    parameters = {"parts": [str(path) for path in parts], "examples": MAX_EXAMPLES}
    with duckdb.connect() as database:
        shared = database.execute(_SHARED, parameters).fetchone()
        crowded = database.execute(_CROWDED, {**parameters, "limit": rules.bindings_per_identity}).fetchone()
    for code, found in (("endpoint-shared", shared), ("identity-crowded", crowded)):
        if found and found[0]:
            tally.note((code, ""), found[0], found[1])
