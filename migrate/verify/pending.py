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
    """The rows of a list that `write_pending` wrote, of the schema `PENDING`. Raises `InputError` for others."""
    try:
        return read_csv(path, PENDING) if path.suffix == ".csv" else pq.ParquetFile(path).read().cast(PENDING)
    except (pa.ArrowException, OSError, ValueError, LookupError):
        raise InputError(
            f"{path} is not a list of pending bindings",
            remedy="Make one with: chat-migrate verify SNAPSHOT --pending FILE",
        ) from None


def _rows(names: Mapping[str, str], parts: Sequence[Path], scratch: Path) -> Iterator[pa.RecordBatch]:
    sids, texts = pa.array(names, pa.string()), pa.array(names.values(), pa.string())
    for some in _apart(parts):
        in_order = scratch / "in-order.parquet"
        with over_parts(some, scratch) as database:
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


def _apart(parts: Sequence[Path]) -> Iterator[list[Path]]:
    """The files in their order, those together that no service is behind: what is sorted at once is little."""
    group: list[Path] = []
    latest = ""
    for part in parts:
        bounds = _services(part)
        if bounds is None:
            continue
        if group and bounds[0] > latest:
            yield group
            group = []
        group.append(part)
        latest = max(latest, bounds[1])
    if group:
        yield group


def _services(part: Path) -> tuple[str, str] | None:
    """The first and the last service in a file, as its statistics say; None if it has no rows."""
    rows = pq.read_metadata(part)
    column = rows.schema.names.index("service_sid")
    found = [rows.row_group(group).column(column).statistics for group in range(rows.num_row_groups)]
    if not rows.num_rows:
        return None
    if not all(of_one and of_one.has_min_max for of_one in found):
        return "", chr(0x10FFFF)
    return min(of_one.min for of_one in found), max(of_one.max for of_one in found)


def _write_parquet(path: Path, rows: Iterable[pa.RecordBatch]) -> int:
    many = 0
    with private_file(path) as file, pq.ParquetWriter(file, PENDING, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
            many += batch.num_rows
    return many
