"""Findings that no single binding shows: endpoints shared by identities, identities with many bindings."""

from __future__ import annotations

from pathlib import Path

from migrate.map.bindings import Tally
from migrate.map.rules import Rules
from migrate.model.finding import MAX_EXAMPLES
from migrate.snapshot.database import over_parts

_QUERY = """
    SELECT count(*), min(sid, $examples) FROM bindings WHERE {key} IN (
        SELECT {key} FROM bindings WHERE {key} IS NOT NULL GROUP BY {key} HAVING {crowded} > $limit
    )
"""
_SHARED = _QUERY.format(key="endpoint", crowded="count(DISTINCT identity)")
_CROWDED = _QUERY.format(key="identity", crowded="count(*)")


def note_crowds(parts: list[Path], rules: Rules, tally: Tally, scratch: Path) -> None:
    """Look through the bindings of one service, and note what it finds in the service's tally.

    `scratch` is a folder for what does not fit into memory; the snapshot itself is only read.
    """
    with over_parts(parts, scratch) as query:
        shared = query(_SHARED, examples=MAX_EXAMPLES, limit=1)
        crowded = query(_CROWDED, examples=MAX_EXAMPLES, limit=rules.bindings_per_identity)
    for code, ((count, sids),) in (("endpoint-shared", shared), ("identity-crowded", crowded)):
        if count:
            tally.note((code, ""), count, sids)
