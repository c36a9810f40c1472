"""The parts of a mapped folder, as they are written: files of mapped bindings. Apart from what needs no Arrow."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.schemas import MAPPED_FILE, encoded
from migrate.storage.files import sync
from migrate.storage.private import create_private

SERVICE = "service_sid"
# Columns of few distinct values, which Parquet keeps as a dictionary; for the others trying it only costs time.
_FEW_LISTS = ("message_types", "target_message_types", "findings")
_FEW_TEXTS = ("binding_type", "target_binding_type", "credential_sid", "target_credential_sid", "outcome", "action")
_FEW_VALUES = [*_FEW_TEXTS, SERVICE, *(f"{name}.list.element" for name in _FEW_LISTS)]
_WRITTEN = encoded(MAPPED_FILE, (*_FEW_TEXTS, *_FEW_LISTS))
IN_MEMORY = _WRITTEN.remove(_WRITTEN.get_field_index(SERVICE))  # the schema of what is written, without its service
# What a reader of the file is to see, as Arrow notes it in a file.
_NOTED = {"ARROW:schema": base64.b64encode(MAPPED_FILE.serialize().to_pybytes()).decode()}
_SEARCHED = [SERVICE, "last_seen", "outcome", "action"]


class Part:
    """A Parquet file of mapped bindings that is being written."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, rows: pa.RecordBatch, services: Sequence[str], places: pa.Array | None = None) -> None:
        """Write rows of the schema `IN_MEMORY`. Each is of the service at its place among `services`, else of the
        first.
        """
        if places is None:
            places = pa.array(np.zeros(len(rows), np.int32))
        column = pa.DictionaryArray.from_arrays(places.cast(pa.int32()), pa.array(services, pa.string()))
        self._writer.write_batch(pa.RecordBatch.from_arrays([*rows.columns, column], schema=_WRITTEN))


def new_parts(work: Path) -> Path:
    """A new private folder for some parts, under a name of its own: no other attempt writes there.

    `work` must be there: where it is not, nothing is waited for any more.
    """
    folder = work / os.urandom(8).hex()
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def new_part(path: Path) -> Iterator[Part]:
    """A new private Parquet file, which readers see as `MAPPED_FILE`. Synced at the end; its name is not."""
    with (
        os.fdopen(create_private(path), "wb") as file,
        pq.ParquetWriter(
            file,
            _WRITTEN,
            compression="zstd",
            use_dictionary=_FEW_VALUES,
            write_statistics=_SEARCHED,
            store_schema=False,
        ) as writer,
    ):
        writer.add_key_value_metadata(_NOTED)
        yield Part(writer)
    sync(path)
