"""What no single binding shows: identities with many bindings, endpoints under several identities."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from migrate.model.errors import InputError
from migrate.storage.database import FullMemoryError, over_parts, over_views
from migrate.storage.private import create_private

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


# Of few bindings, that are in memory, at once: the same by service, as columns beside the others.
FLAGS = ("shared", "crowded")
SERVICE = "service"  # its place among those that are read together
_FLAGGED = """
    SELECT {columns}, place AS service,
        coalesce(endpoint <> '' AND min(nullif(identity, '')) OVER same_endpoint
            <> max(nullif(identity, '')) OVER same_endpoint, false) AS shared,
        coalesce(identity <> '' AND count(*) OVER same_identity > $limit, false) AS crowded
    FROM held LEFT JOIN services USING (service_sid)
    WINDOW same_endpoint AS (PARTITION BY service_sid, endpoint),
        same_identity AS (PARTITION BY service_sid, identity)
    ORDER BY place, held.rowid
"""


@dataclass(frozen=True)
class Sharing:
    """Texts of one service that are in too many of its bindings, each once and in order.

    Crowded identities have more bindings than is usual; shared endpoints are under more than one identity.
    """

    crowded_identities: pa.StringArray
    shared_endpoints: pa.StringArray

    def flags(self, rows: pa.RecordBatch) -> dict[str, pa.Array]:
        """Which of some bindings have a shared endpoint or a crowded identity, by name of the flag."""
        return {
            "shared": pc.is_in(rows.column("endpoint"), value_set=self.shared_endpoints),
            "crowded": pc.is_in(rows.column("identity"), value_set=self.crowded_identities),
        }


NO_SHARING = Sharing(pa.array([], pa.string()), pa.array([], pa.string()))


def write_sharing(sharing: Sharing, work: Path) -> Path | None:
    """A private file in `work` with these texts, for the tasks of that service; None where there are none.

    They are identities and endpoints: a task has the file's path, and whoever sees the task does not see them.
    """
    columns = {name: getattr(sharing, name) for name in ("crowded_identities", "shared_endpoints")}
    if not any(map(len, columns.values())):
        return None
    lists = {name: pa.LargeListArray.from_arrays([0, len(texts)], texts) for name, texts in columns.items()}
    table, path = pa.table(lists), work / f"sharing-{os.urandom(8).hex()}.arrow"
    with os.fdopen(create_private(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return path


def read_sharing(path: Path | None) -> Sharing:
    """What `write_sharing` has written."""
    if path is None:
        return NO_SHARING
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    return Sharing(**{name: table[name].combine_chunks().values for name in table.column_names})


def find_sharing(parts: list[Path], limit: int, scratch: Path) -> Sharing:
    """Look through the bindings of one service for identities with more than `limit`, and for shared endpoints.

    What is null or empty is counted for no identity and no endpoint. `scratch` is a folder for what does not fit into
    memory; the parts are only read.
    """
    if not parts:
        return NO_SHARING
    with over_parts(parts, scratch, _MEMORY_LIMIT) as database:
        return Sharing(
            crowded_identities=_crowded(database, "identity", "count(*)", limit),
            shared_endpoints=_crowded(database, "endpoint", "count(DISTINCT nullif(identity, ''))", 1),
        )


def read_together(
    services: Mapping[str, Sequence[Path]], columns: Sequence[str], limit: int, scratch: Path
) -> pa.RecordBatch:
    """The bindings of some small services, in their order, with what `find_sharing` would say of each service.

    A service is given by its SID and its parts. Beside the columns that are asked for, a row has `SERVICE`, the place
    of its service, and `FLAGS`. All of it is in memory; `scratch` is as for `find_sharing`. Raises `FullMemoryError`.
    """
    parts = [part for some in services.values() for part in some]
    places = pa.table({"service_sid": [*services], "place": range(len(services))})
    with over_views({"bindings": parts}, scratch, _MEMORY_LIMIT, by_service=True) as database:
        database.register("services", places)
        database.execute("SET threads = 1")  # several such tasks run side by side
        rows, *others = _flagged(database, columns, limit).combine_chunks().to_batches()
    if others:  # a column of texts has 2 GiB at most
        raise FullMemoryError("The bindings of some services do not fit into memory", remedy="Map fewer at a time")
    if rows.column(SERVICE).null_count:
        raise InputError("A part of the snapshot is of another service than its folder says", remedy="Extract again")
    return rows


def _flagged(database: duckdb.DuckDBPyConnection, columns: Sequence[str], limit: int) -> pa.Table:
    database.execute(f"CREATE TEMP TABLE held AS SELECT {', '.join(columns)}, service_sid FROM bindings")  # noqa: S608  # ours
    return database.sql(_FLAGGED.format(columns=", ".join(columns)), params={"limit": limit}).to_arrow_table()


def _crowded(database: duckdb.DuckDBPyConnection, key: str, counted: str, limit: int) -> pa.StringArray:
    """The texts of a column, in order, of whose rows more are counted than the limit."""
    database.execute(_SUSPECTS.format(key=key), {"limit": limit})
    found = database.sql(_CROWDED.format(key=key, counted=counted), params={"limit": limit})
    return found.to_arrow_table().column(key).combine_chunks()
