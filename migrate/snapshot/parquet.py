"""Tables as Parquet files: the same rows give the same bytes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.snapshot.files import sha256_of
from migrate.snapshot.manifest import FileRecord

# Columns of few distinct values, which Parquet keeps as a dictionary; for the others it would only be tried in vain.
_FEW_VALUES = ("account_sid", "binding_type", "credential_sid", "message_types.list.element")


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    few = [name for name in _FEW_VALUES if name.partition(".")[0] in table.schema.names]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=few)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def file_record(folder: Path, path: Path) -> FileRecord:
    """What the manifest says of a Parquet file in a snapshot."""
    rows = pq.read_metadata(path).num_rows
    return FileRecord(path.relative_to(folder).as_posix(), rows, path.stat().st_size, sha256_of(path))
