"""What no single binding shows: endpoints shared by identities, identities with many bindings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from migrate.snapshot.database import over_parts

_QUERY = "SELECT {key} FROM bindings WHERE {key} IS NOT NULL GROUP BY {key} HAVING {crowded} > $limit ORDER BY {key}"
_SHARED = _QUERY.format(key="endpoint", crowded="count(DISTINCT identity)")
_CROWDED = _QUERY.format(key="identity", crowded="count(*)")


@dataclass(frozen=True)
class Crowds:
    """Distinct texts, in order: identities with too many bindings, endpoints under several identities."""

    identities: pa.Array
    endpoints: pa.Array


NO_CROWDS = Crowds(pa.array([], pa.string()), pa.array([], pa.string()))


def find_crowds(parts: list[Path], limit: int, scratch: Path) -> Crowds:
    """The crowds among the bindings of one service.

    `limit` is how many bindings of an identity are none yet; `scratch` is a folder for what does not fit into memory.
    """
    if not parts:
        return NO_CROWDS
    with over_parts(parts, scratch) as query:
        shared = query(_SHARED, limit=1)
        crowded = query(_CROWDED, limit=limit)
    return Crowds(*(pa.array([value for (value,) in found], pa.string()) for found in (crowded, shared)))
