"""The coverage folder: one small Parquet file a run, so that all of them together draw a curve. No personal data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from migrate.model.coverage import Coverage
from migrate.model.errors import RefusedError
from migrate.model.schemas import COVERAGE
from migrate.snapshot.files import make_private_folder, write_whole
from migrate.snapshot.lock import hold
from migrate.snapshot.parquet import parquet_bytes

_NAME = "%Y-%m-%dT%H-%M-%SZ"


@contextmanager
def coverage_folder(folder: Path) -> Iterator[Path]:
    """The folder, made where it is not there, and nobody else's meanwhile. Raises `RefusedError` for no folder."""
    if folder.exists() and not folder.is_dir():
        raise RefusedError(f"{folder} is there, and is no folder", remedy="Name another with --coverage")
    make_private_folder(folder)
    held = hold(folder)
    try:
        yield folder
    finally:
        os.close(held)


def write_coverage(folder: Path, coverage: Coverage) -> Path:
    """Write a run's coverage to a file of its own, named by the live side's time, and return its path.

    A file that is there is never overwritten: a second run at the same time gets a number.
    """
    as_of = datetime.fromisoformat(coverage.live_as_of).astimezone(UTC)
    rows = [
        {"as_of": as_of, "service_sid": service.service_sid, "platform": platform, **asdict(counts)}
        for service in coverage.services
        for platform, counts in service.platforms.items()
    ]
    table = pa.Table.from_pylist([{**row, "snapshot": coverage.snapshot} for row in rows], schema=COVERAGE)
    path = _free_name(folder, as_of.strftime(_NAME))
    write_whole(path, parquet_bytes(table), private=True)
    return path


def _free_name(folder: Path, name: str) -> Path:
    path, number = folder / f"{name}.parquet", 2
    while path.exists():
        path, number = folder / f"{name}-{number}.parquet", number + 1
    return path
