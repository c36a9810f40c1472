"""The mapped bindings as CSV that a spreadsheet can open: who must register again, and with what.

A cell that begins like a formula gets an apostrophe in front, so that opening the file runs nothing
(OWASP, "CSV Injection").
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from migrate.model.errors import InterruptedRunError, MigrateError
from migrate.snapshot.files import PARTIAL, sync
from migrate.snapshot.mapped import BINDINGS, Summary
from migrate.snapshot.reader import batches

_FORMULA = r"\A[=+\-@\t\r\n＝＋－＠]"  # the wide ones count in some languages
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
_SCHEMA = pa.schema([(name, pa.string()) for name in ("service", "service_sid", *_COLUMNS)])


def write_spreadsheet(mapped: Path, summary: Summary, path: Path) -> int:
    """Write every mapped binding to a private CSV file, and return how many there are.

    `action` says what the device must do, `push_credential_sid` the credential that it is to register with. Endpoints
    are masked, identities are not.
    """
    unfinished = path.with_name(f".{path.name}{PARTIAL}")
    rows = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_BYTE_ORDER_MARK)
            with csv.CSVWriter(file, _SCHEMA) as writer:
                for service in summary.services:
                    sid = service["service_sid"]
                    parts = sorted((mapped / BINDINGS / f"service_sid={sid}").glob("*.parquet"))
                    for batch in batches(parts):
                        writer.write_batch(_cells(batch, service["friendly_name"], sid))
                        rows += batch.num_rows
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        kept, again = f"The mapping is finished in {mapped}", "For the list, map again with --overwrite and --csv"
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedRunError("Interrupted", kept=kept, remedy=again) from None
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            raise MigrateError(f"Cannot write {path}: {reason}", kept=kept, remedy=again) from error
        raise
    sync(path.parent)
    return rows


def _cells(batch: pa.RecordBatch, service_name: str, service_sid: str) -> pa.RecordBatch:
    constants = (pa.array([text] * batch.num_rows, pa.string()) for text in (service_name, service_sid))
    columns = [*constants, *(batch.column(name) for name in _COLUMNS.values())]
    return pa.RecordBatch.from_arrays([_safe(_text(column)) for column in columns], schema=_SCHEMA)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False), "%Y-%m-%d %H:%M:%S")
    return column


def _safe(column: pa.Array) -> pa.Array:
    quoted = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), quoted, column)
