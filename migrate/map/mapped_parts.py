"""The parts of a mapped folder: files of mapped bindings. Apart from the folder, whose writer needs no Arrow."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset

from migrate.model.schemas import MAPPED_BINDINGS, encoded
from migrate.storage.private import create_private

# Columns of few distinct values, which Parquet keeps as a dictionary; for the others trying it only costs time.
_FEW_LISTS = ("message_types", "target_message_types", "findings")
_FEW_TEXTS = ("binding_type", "target_binding_type", "credential_sid", "target_credential_sid", "outcome", "action")
_FEW_VALUES = [*_FEW_TEXTS, *(f"{name}.list.element" for name in _FEW_LISTS)]
IN_MEMORY = encoded(MAPPED_BINDINGS, (*_FEW_TEXTS, *_FEW_LISTS))  # the schema of what is written
# What a reader of the file is to see, as Arrow notes it in a file.
_NOTED = {"ARROW:schema": base64.b64encode(MAPPED_BINDINGS.serialize().to_pybytes()).decode()}
_SEARCHED = ["last_seen", "outcome", "action"]


def new_parts(work: Path, services: Iterable[str]) -> Path:
    """A new private folder for the parts of some services, under a name of its own: no other attempt writes there.

    A part is there where `part_of` says. `work` must be there: where it is not, nothing is waited for any more.
    """
    folder = work / os.urandom(8).hex()
    for place in (folder, *(folder / f"service_sid={sid}" for sid in services)):
        place.mkdir(mode=0o700)
    return folder


@contextmanager
def open_part(path: Path) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer for rows of the schema `IN_MEMORY`, which the file has as `MAPPED_BINDINGS`. Not synced."""
    with (
        os.fdopen(create_private(path), "wb") as file,
        pq.ParquetWriter(
            file,
            IN_MEMORY,
            compression="zstd",
            use_dictionary=_FEW_VALUES,
            write_statistics=_SEARCHED,
            store_schema=False,
        ) as writer,
    ):
        writer.add_key_value_metadata(_NOTED)
        yield writer


def write_parts(folder: Path, rows: pa.RecordBatch, services: pa.Array) -> None:
    """The first part of some services, each of few rows of the schema `MAPPED_BINDINGS`. Neither private nor synced.

    `services` has the SID of each row's service; rows of one keep their order. `folder` is private, and has the
    folders of the services. Neither compressed nor encoded: of a few rows, that takes as long as all the rest. For
    the same reason Arrow opens all the files, each until the last is written, and the interpreter's lock is free
    meanwhile.
    """
    service_sid = pa.field("service_sid", pa.string())
    parquet = dataset.ParquetFileFormat()
    dataset.write_dataset(
        pa.Table.from_batches([rows]).append_column(service_sid, services),
        folder,
        basename_template="part-0000{i}.parquet",
        partitioning=dataset.partitioning(pa.schema([service_sid]), flavor="hive"),
        format=parquet,
        file_options=parquet.make_write_options(compression="none", use_dictionary=False, write_statistics=_SEARCHED),
        use_threads=False,
        create_dir=False,
        existing_data_behavior="overwrite_or_ignore",
    )
