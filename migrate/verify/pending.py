"""The list of who is still pending: a private file, CSV for a spreadsheet or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrate.map.spreadsheet import read_csv, write_csv
from migrate.model.errors import InputError
from migrate.model.masked_column import mask_column
from migrate.model.schemas import PENDING, TIMESTAMP
from migrate.snapshot.reader import batches
from migrate.storage.database import over_parts
from migrate.storage.files import private_file

ENDINGS = (".csv", ".parquet")


def write_pending(path: Path, names: Mapping[str, str], parts: Sequence[Path], scratch: Path) -> int:
    """Write the pending bindings in some Parquet files to one private file, and return how many there are.

    `names` has those of the services by SID; the files have the columns service_sid, identity, endpoint, platform,
    last_seen, sid. The ending of `path` names the format, one of `ENDINGS`. Endpoints are masked, identities are not.
    The rows are in the order of service, identity and sid; what does not fit into memory goes to `scratch`. Raises
    `OSError`.
    """
    rows = _rows(names, parts, scratch) if parts else iter(())
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


def _rows(names: Mapping[str, str], parts: Sequence[Path], scratch: Path) -> Iterator[pa.RecordBatch]:
    sids, texts = pa.array(names, pa.string()), pa.array(names.values(), pa.string())
    with over_parts(parts, scratch) as database:
        in_order = scratch / "in-order.parquet"
        database.sql("FROM bindings ORDER BY service_sid, identity NULLS LAST, sid").write_parquet(str(in_order))
        for batch in batches([in_order]):
            columns = {
                "service": texts.take(pc.index_in(batch.column("service_sid"), sids)),
                "service_sid": batch.column("service_sid"),
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
