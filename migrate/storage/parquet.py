"""Tables as Parquet files: the same rows give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

# Columns of few distinct values, which Parquet keeps as a dictionary; for the others trying it only costs time.
_FEW_VALUES = ("account_sid", "binding_type", "credential_sid", "message_types.list.element")


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows of texts, lists of texts, and times in UTC as a table.

    Arrow's own way from Python's values would load pandas, which takes a third of a second and 40 MB.
    """
    lines = [json.dumps(row, default=_in_utc).encode() for row in rows]
    if not lines:
        return pa.Table.from_batches([], schema)
    data = b"\n".join(lines)
    found = pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        memory_pool=pa.system_memory_pool(),  # as for whole pages (extract/columns.py)
    )
    return found.cast(schema)


def _in_utc(time: datetime) -> str:
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    few = [name for name in _FEW_VALUES if name.partition(".")[0] in table.schema.names]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=few)
    data: bytes = sink.getvalue().to_pybytes()
    return data
