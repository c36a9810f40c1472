"""The coverage folder: one small Parquet file a run, so that all of them together draw a curve. No personal data."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrate.model.errors import InputError, RefusedError
from migrate.snapshot.rejected import REJECTED
from migrate.storage.files import free_path, make_private_folder, private_file, write_whole
from migrate.storage.lock import hold
from migrate.verify.coverage import Counts, Coverage, ServiceCoverage, total

# What a verification needs meanwhile, within the coverage folder: readers of Parquet folders pass over such a name.
# In it the live bindings are a snapshot, and WORK has lists of who is pending or ready.
SCRATCH = ".chat-migrate-verify"
WORK = "work"
_NAME = "%Y-%m-%dT%H-%M-%SZ"
_NAMED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z")


@contextmanager
def coverage_folder(folder: Path) -> Iterator[Path]:
    """The folder, made where it is not there, and locked meanwhile. Raises `RefusedError` for no folder."""
    if folder.exists() and not folder.is_dir():
        raise RefusedError(f"{folder} is there, and is no folder", remedy="Name another with --coverage")
    make_private_folder(folder)
    held = hold(folder)
    try:
        yield folder
    finally:
        os.close(held)


def write_coverage(folder: Path, coverage: Coverage, rejected: Path | None = None) -> Path:
    """Write a run's coverage to a file of its own, named by the live side's time, and return its path.

    A file that is there is never overwritten: a second run at the same time gets a number. `rejected` is the file of
    live records that did not fit, which is kept beside it (see `rejected_beside`).
    """
    import pyarrow as pa

    from migrate.model.schemas import COVERAGE
    from migrate.storage.parquet import parquet_bytes

    as_of = datetime.fromisoformat(coverage.live_as_of).astimezone(UTC)
    rows = [
        {"as_of": as_of, "service_sid": service.service_sid, "platform": platform, **vars(counts)}
        | {"rejected": service.rejected if platform is None else 0}
        for service in coverage.services
        for platform, counts in _platforms(service).items()
    ]
    table = pa.Table.from_pylist([{**row, "snapshot": coverage.snapshot} for row in rows], schema=COVERAGE)
    path = free_path(folder / f"{as_of.strftime(_NAME)}.parquet")
    if rejected:  # first: what has numbers has its evidence
        with rejected.open("rb") as source, private_file(rejected_beside(path)) as copy:
            shutil.copyfileobj(source, copy)
    write_whole(path, parquet_bytes(table), private=True)
    return path


def rejected_beside(coverage: Path) -> Path:
    """Where the live records are that did not fit, beside a run's coverage; it holds personal data."""
    return coverage.with_suffix(f".{REJECTED}")


def run_time(path: Path) -> datetime | None:
    """The live side's time that a run's files are named by, in UTC; None for another name."""
    found = _NAMED.match(path.name)
    try:
        return datetime.strptime(found[0], _NAME).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _platforms(service: ServiceCoverage) -> dict[str | None, Counts]:
    """The counts by platform; what does not fit names none, and has a line of its own there."""
    if service.rejected and None not in service.platforms:
        return {**service.platforms, None: Counts()}
    return service.platforms


@dataclass(frozen=True)
class CoverageRun:
    """What one run of `verify` has written: its file, the live side's time in UTC, the snapshot's digest, and the
    numbers by service; names of services are not in it.
    """

    file: Path
    as_of: str
    snapshot: str
    services: tuple[ServiceCoverage, ...]

    @property
    def total(self) -> Counts:
        """The counts of all services."""
        return total(service.total for service in self.services)

    def to_json(self) -> dict[str, Any]:
        """The run as `show --json` has it."""
        return {
            "file": str(self.file),
            "as_of": self.as_of,
            "snapshot": self.snapshot,
            "services": [service.to_json() for service in self.services],
            "total": self.total.to_json(),
        }


def read_runs(path: Path) -> tuple[CoverageRun, ...]:
    """The runs in a coverage folder, the latest last; or the one in a file of it.

    Raises `InputError` for a file that is named as one and is none.
    """
    files = [file for file in path.glob("*.parquet") if run_time(file)] if path.is_dir() else [path]
    runs = [run for file in sorted(files) if (run := _read_run(file))]
    return tuple(sorted(runs, key=lambda run: run.as_of))


def _read_run(file: Path) -> CoverageRun | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from migrate.model.schemas import COVERAGE

    try:
        rows = pq.ParquetFile(file).read().select(COVERAGE.names).cast(COVERAGE).to_pylist()
    except (pa.ArrowException, LookupError, ValueError):
        raise InputError(f"{file} is not coverage that verify has written", remedy="Move it away") from None
    if not rows:  # a snapshot without services
        return None
    services: dict[str, ServiceCoverage] = {}
    for row in rows:
        sid = str(row["service_sid"])
        before = services.get(sid, ServiceCoverage(sid, ""))
        counts = Counts(*(row[item.name] for item in fields(Counts)))
        platforms = {**before.platforms, row["platform"]: counts}
        services[sid] = ServiceCoverage(sid, "", platforms, before.rejected + row["rejected"])
    return CoverageRun(file, rows[0]["as_of"].isoformat(), str(rows[0]["snapshot"]), tuple(services.values()))
