"""Lists of bindings as CSV that a spreadsheet can open: who must register again, and with what.

A cell that begins like a formula gets an apostrophe in front, so that opening the file runs nothing
(OWASP, "CSV Injection"). So does one that begins like such a cell: taking one away gives the text again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from migrate.map.mapped_bindings import parts_in
from migrate.map.mapped_folder import Summary
from migrate.runtime.interrupts import resumable
from migrate.snapshot.reader import batches
from migrate.storage.files import private_file

_FORMULA = r"\A'*[=+\-@\t\r\n＝＋－＠]"  # the wide ones count in some languages
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # by which spreadsheets know UTF-8
# Column of the CSV: column of `MAPPED_BINDINGS`.
_COLUMNS = {
    "identity": "identity",
    "device": "device",
    "platform": "binding_type",
    "credential_sid": "credential_sid",
    "push_credential_sid": "target_credential_sid",
    "last_seen": "last_seen",
    "outcome": "outcome",
    "action": "action",
    "sid": "sid",
}
_SID = 34  # characters that a SID has; a part is called by that of its first service
_NAMES = ("service", "service_sid", *_COLUMNS)


def write_spreadsheet(mapped: Path, summary: Summary, path: Path) -> int:
    """Write every mapped binding to a private CSV file, and return how many there are: service by service, and of
    small services those together that share a file.

    `action` says what the device must do, `push_credential_sid` the credential that it is to register with. Endpoints
    are masked, identities are not.
    """
    kept, again = f"The mapping is finished in {mapped}", "For the list, map again with --overwrite and --csv"
    with resumable(kept=kept, remedy=again, cannot=lambda _: f"Cannot write {path}"):
        return write_csv(path, _NAMES, _rows(mapped, summary))


def write_csv(path: Path, names: Sequence[str], rows: Iterable[pa.RecordBatch]) -> int:
    """Write rows to a private CSV file, whole or not at all, and return how many there are.

    The batches have columns of texts, or of times, in the order of their `names`.
    """
    shown = pa.schema([pa.field(name, pa.string()) for name in names])
    many = 0
    with private_file(path) as file:
        file.write(_BYTE_ORDER_MARK)
        with csv.CSVWriter(file, shown) as writer:
            for batch in rows:
                cells = [_safe(_text(column)) for column in batch.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(cells, schema=shown))
                many += batch.num_rows
    return many


def read_csv(path: Path, schema: pa.Schema) -> pa.Table:
    """What `write_csv` wrote, of a schema of texts and times: an empty cell is null, times are in UTC.

    Raises `pyarrow.ArrowException` or `OSError` for a file that cannot be read so.
    """
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(schema.names, pa.string()),
            include_columns=schema.names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    columns = [_value(table[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _value(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_timestamp(kind):
        return pc.strptime(column, "%Y-%m-%d %H:%M:%S", "us").cast(kind)
    return pc.replace_substring_regex(column, rf"\A'({_FORMULA[2:]})", r"\1")


def _rows(mapped: Path, summary: Summary) -> Iterator[pa.RecordBatch]:
    names = {service["service_sid"]: service["friendly_name"] for service in summary.services}
    places = {sid: place for place, sid in enumerate(names)}
    for batch in batches(sorted(parts_in(mapped), key=lambda part: (places[part.name[:_SID]], part.name))):
        sids = batch.column("service_sid")
        named = pa.array([names[sid] for sid in sids.dictionary.to_pylist()], pa.string())
        columns = [named.take(sids.indices), sids.cast(pa.string())]
        columns += [batch.column(name) for name in _COLUMNS.values()]
        yield pa.RecordBatch.from_arrays(columns, names=_NAMES)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False), "%Y-%m-%d %H:%M:%S")
    return column


def _safe(column: pa.Array) -> pa.Array:
    quoted = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), quoted, column)
