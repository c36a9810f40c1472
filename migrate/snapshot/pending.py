"""The list of who is still pending: a private file, CSV for a spreadsheet or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.errors import InputError
from migrate.model.masked_column import mask_column
from migrate.model.schemas import PENDING, TIMESTAMP
from migrate.snapshot.database import over_parts
from migrate.snapshot.files import private_file
from migrate.snapshot.reader import batches
from migrate.snapshot.spreadsheet import read_csv, write_csv

ENDINGS = (".csv", ".parquet")


def write_pending(path: Path, services: Mapping[str, tuple[str, Sequence[Path]]], scratch: Path) -> int:
    """Write the pending bindings in some Parquet files to one private file, and return how many there are.

    `services` has by SID the name and the files, with the columns identity, endpoint, platform, last_seen, sid. The
    ending of `path` names the format, one of `ENDINGS`. Endpoints are masked, identities are not. The rows are in
    the order of service, identity and sid; what does not fit into memory goes to `scratch`. Raises `OSError`.
    """
    some = {sid: found for sid, found in services.items() if found[1]}
    rows = (batch for sid, (name, parts) in some.items() for batch in _rows(sid, name, parts, scratch))
    return write_csv(path, PENDING.names, rows) if path.suffix == ".csv" else _write_parquet(path, rows)


def read_pending(path: Path) -> pa.Table:
    """The rows of a list that `write_pending` wrote, of the schema `PENDING`. Raises `InputError` if it is none."""
    try:
        return read_csv(path, PENDING) if path.suffix == ".csv" else pq.ParquetFile(path).read().cast(PENDING)
    except (pa.ArrowException, OSError, ValueError, LookupError):
        raise InputError(
            f"{path} is not a list of pending bindings",
            remedy=f"Make one with: chat-migrate verify SNAPSHOT --pending {path}",
        ) from None


def _rows(service_sid: str, name: str, parts: Sequence[Path], scratch: Path) -> Iterator[pa.RecordBatch]:
    with over_parts(parts, scratch) as database:
        in_order = scratch / "in-order.parquet"
        database.sql("FROM bindings ORDER BY identity NULLS LAST, sid").write_parquet(str(in_order))
        for batch in batches([in_order]):
            columns = {
                "service": pa.array([name] * batch.num_rows, pa.string()),
                "service_sid": pa.array([service_sid] * batch.num_rows, pa.string()),
                "identity": batch.column("identity"),
                "device": mask_column(batch.column("endpoint")),
                "platform": batch.column("platform"),
                "last_seen": batch.column("last_seen").cast(TIMESTAMP),
                "sid": batch.column("sid"),
            }
            yield pa.RecordBatch.from_arrays([columns[name] for name in PENDING.names], schema=PENDING)


def _write_parquet(path: Path, rows: Iterable[pa.RecordBatch]) -> int:
    many = 0
    with private_file(path) as file, pq.ParquetWriter(file, PENDING, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
            many += batch.num_rows
    return many
