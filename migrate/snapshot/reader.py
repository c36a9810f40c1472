"""Opens a finished snapshot, and proves that it is what was written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.model.errors import RefusedError, Step
from migrate.model.finding import Finding, nothing_expected
from migrate.runtime.interrupts import check
from migrate.snapshot.manifest import PUSH_ERRORS_FILE, FileRecord, Manifest, read_manifest
from migrate.snapshot.unfinished import BINDINGS_FOLDER
from migrate.storage.files import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # from which Arrow counts


@dataclass(frozen=True)
class Snapshot:
    """A finished snapshot on disk. Nothing is read before it is asked for."""

    folder: Path
    manifest: Manifest

    @property
    def as_of(self) -> datetime:
        """The source's time when the extract began, in UTC."""
        return datetime.fromisoformat(self.manifest.as_of)

    def services(self) -> list[dict[str, Any]]:
        """The services in the order of their SID, one dictionary a row of the `SERVICES` schema."""
        return self._rows("services")

    def credentials(self) -> list[dict[str, Any]]:
        """The credentials in the order of their SID, one dictionary a row of the `CREDENTIALS` schema."""
        return self._rows("credentials")

    @property
    def push_errors(self) -> Path | None:
        """The Parquet file with the push errors before the snapshot (`PUSH_ERRORS`); None where it has none."""
        has_them = any(file.path == PUSH_ERRORS_FILE for file in self.manifest.files)
        return self.folder / PUSH_ERRORS_FILE if has_them else None

    def parts(self, service_sid: str) -> list[tuple[Path, int]]:
        """The Parquet files with the bindings of one service, and how many rows each has.

        Their paths are absolute: a process elsewhere may read them.
        """
        # As a text: of many small files, to join their paths takes longer than to read the manifest.
        return [(Path(f"{self._place}/{file.path}"), file.rows) for file in self._files(service_sid)]

    @cached_property
    def _place(self) -> str:
        return str(self.folder.absolute())

    def size(self, service_sid: str) -> int:
        """How many bytes those files have."""
        return sum(file.bytes for file in self._files(service_sid))

    def _files(self, service_sid: str) -> list[FileRecord]:
        return self._by_folder.get(f"{BINDINGS_FOLDER}/service_sid={service_sid}", [])

    @cached_property
    def _by_folder(self) -> dict[str, list[FileRecord]]:
        found: dict[str, list[FileRecord]] = {}
        for file in self.manifest.files:
            found.setdefault(file.path.rpartition("/")[0], []).append(file)
        return found

    def _rows(self, name: str) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq  # to verify a snapshot takes no Arrow

        rows: list[dict[str, Any]] = pq.ParquetFile(self.folder / f"{name}.parquet").read().to_pylist()
        return sorted(rows, key=lambda row: str(row["sid"]))


def batches(
    parts: Iterable[Path], columns: Iterable[str] = (), encoded: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The rows of some Parquet files, in batches of at most `BATCH_ROWS`; all columns, or only some.

    Those that are `encoded` (see `migrate.model.schemas`), by their path in Parquet, come as they are stored. Raises
    `InterruptedRunError`, in whatever thread, once the process was asked to end.
    """
    import pyarrow.parquet as pq

    for path in parts:
        with pq.ParquetFile(path, read_dictionary=list(encoded)) as file:
            # Whoever wants several threads reads several files: to share one costs more processor time than it saves.
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns) if columns else None, use_threads=False):
                check()
                yield batch


def said_of(snapshot: Snapshot, lifetime: timedelta) -> tuple[Finding, ...]:
    """What is to be said of a snapshot as soon as it is made: of its clock, and where no binding can come back."""
    clock = snapshot.manifest.clock
    return (*((Finding("clock-differs", None, str(clock)),) if clock else ()), *_nothing_live(snapshot, lifetime))


def _nothing_live(snapshot: Snapshot, lifetime: timedelta) -> tuple[Finding, ...]:
    """It has no binding, or all have expired; it is read no further than to the first that has not."""
    import pyarrow.compute as pc

    born_after = (snapshot.as_of - lifetime - _EPOCH) // timedelta(microseconds=1)
    paths = [path for service in snapshot.manifest.rows_by_service for path, _ in snapshot.parts(service)]
    for batch in batches(paths, ("date_updated", "date_created")):
        seen = pc.coalesce(batch["date_updated"], batch["date_created"])
        latest = pc.max(seen)
        if seen.null_count or (latest.is_valid and latest.value >= born_after):  # what has no date has not expired
            return ()
    return nothing_expected(snapshot.manifest.rows, snapshot.manifest.rows)


def read_snapshot(folder: Path) -> Snapshot:
    """Open a snapshot and verify it: finished, and every file there with its checksum and no other.

    Raises `InputError` if the folder is no snapshot, `RefusedError` if it cannot be trusted.
    """
    manifest = read_manifest(folder)
    if manifest.status != "finished":
        raise RefusedError(
            f"The snapshot {folder} is unfinished",
            remedy=("Finish it with the same command again: ", Step("extract", {"out": folder})),
        )
    _verify(folder, manifest)
    return Snapshot(folder, manifest)


def _verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest, and say of all that differ at once."""
    problems: list[str] = []
    for file in manifest.files:
        path = Path(f"{folder}/{file.path}")
        if not path.is_file():
            problems.append(f"{file.path} is missing")
        elif path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
            problems.append(f"{file.path} is not what was written (its checksum differs)")
    named = {file.path for file in manifest.files}
    found = {  # not by paths relative to others: of many small files, that takes longer than to read them
        f"{place}/{name}"[len(str(folder)) + 1 :]
        for place, folders, files in os.walk(f"{folder}/{BINDINGS_FOLDER}")
        for name in (*folders, *files)
        if name.endswith(".parquet")
    }
    problems += [f"{path} does not belong to it" for path in sorted(found - named)]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3:,} more" if len(problems) > 3 else "")
        raise RefusedError(
            f"The snapshot {folder} is damaged: {shown}",
            remedy="Restore it from a copy, or extract again into another folder",
        )
