"""Writes a snapshot so that it can be killed at any instant and resumed.

A part file is put in place first; then one synced line in the checkpoint names it, with the address of the
chain's next page. A part that no line names never happened. The manifest says `finished` only when everything
is there; the checkpoint goes last.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from migrate.model.documents import builtins
from migrate.model.errors import RefusedError
from migrate.model.schemas import CREDENTIALS, SERVICES
from migrate.model.sids import is_service_sid
from migrate.snapshot.checkpoint import CHECKPOINT, ChainState, Progress, check_line, lines_of
from migrate.snapshot.deduplicate import Keys, without_duplicates
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import (
    PUSH_ERRORS_FILE,
    ChainRecord,
    FileRecord,
    Manifest,
    PushErrorsRead,
    read_manifest,
)
from migrate.snapshot.rejected import REJECTED, put_together, remove_rejected, write_rejected
from migrate.snapshot.unfinished import (
    BINDINGS_FOLDER,
    PUSH_ERRORS_WORK,
    clear_up,
    refuse_other_address,
    refuse_unless_unfinished,
)
from migrate.storage.files import make_own_folder, make_private_folder, sha256_of, sync, write_whole
from migrate.storage.lock import hold
from migrate.storage.parquet import parquet_bytes, table_of
from migrate.storage.private import sweep
from migrate.storage.synced_log import SyncedLog

_FIXED = ("account_sid", "source", "filters", "shards")  # what an extract that resumes must share with its beginning
_TABLES = {"services": SERVICES, "credentials": CREDENTIALS}


class SnapshotWriter:
    """One snapshot in the making, by one process. Its methods may be called from several threads."""

    def __init__(self, folder: Path, manifest: Manifest, held: int) -> None:
        self.folder = folder
        self.manifest = manifest
        self._held = held  # the lock on the folder
        self._is_open = True
        self._checkpoint = SyncedLog(folder / CHECKPOINT)
        self._chains: dict[str, ChainState] = {}
        self._keys = Keys()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # what comes later belongs to whoever holds the folder then
            self._is_open = False
        self._checkpoint.close()
        os.close(self._held)

    def begin(self) -> None:
        """Start a new snapshot, whatever there is of an unfinished one."""
        self._checkpoint.close()
        # The checkpoint goes first: without it, parts that are still there count for nothing.
        tables = (f"{name}.parquet" for name in _TABLES)
        for name in (CHECKPOINT, BINDINGS_FOLDER, REJECTED, PUSH_ERRORS_WORK, PUSH_ERRORS_FILE, *tables):
            _remove(self.folder / name)
        remove_rejected(self.folder)
        self.manifest.write(self.folder)

    def discard(self) -> None:
        """Remove everything of an unfinished snapshot: nothing in it can be relied upon."""
        self.begin()
        _remove(self.folder / MANIFEST)

    def resume(self) -> None:
        """Resume an unfinished snapshot: read the checkpoint and remove what no line of it names."""
        try:
            self._read_checkpoint()
        except (ValueError, OSError):
            raise RefusedError(
                f"The unfinished snapshot {self.folder} does not agree with its {CHECKPOINT}",
                remedy="Start over with --restart",
            ) from None
        self._remove_unnamed()

    def _read_checkpoint(self) -> None:
        if self._checkpoint.path.exists():
            with self._checkpoint.reading() as lines:
                for line in lines:
                    for one in lines_of(line):
                        self._take(one)
        for state in self._chains.values():
            for part in (*state.parts, *state.rejected):
                if sha256_of(self.folder / part.path) != part.sha256:
                    raise ValueError(f"{part.path} is not what was written")

    def has_tables(self) -> bool:
        """Whether services and credentials were stored before the interruption."""
        return all((self.folder / f"{name}.parquet").exists() for name in _TABLES)

    def read_services(self) -> list[str]:
        """The SIDs of the stored services."""
        try:
            sids: list[str] = pq.ParquetFile(self.folder / "services.parquet").read(["sid"]).column(0).to_pylist()
        except (pa.ArrowException, LookupError, OSError):
            raise RefusedError(
                f"{self.folder / 'services.parquet'} cannot be read", remedy="Start over with --restart"
            ) from None
        return sids

    def write_tables(self, services: list[dict[str, Any]], credentials: list[dict[str, Any]]) -> None:
        """Store the services and credentials, each a list of rows in the form of its schema."""
        for name, rows in (("credentials", credentials), ("services", services)):
            data = parquet_bytes(table_of(rows, _TABLES[name]))
            write_whole(self.folder / f"{name}.parquet", data, private=True)

    def note_push_errors(self, read: PushErrorsRead) -> None:
        """Keep what was read of Twilio's Alerts, whose file is in the folder by then."""
        self.manifest = replace(self.manifest, push_errors=read)
        self.manifest.write(self.folder)

    def chain(self, chain_id: str, service_sid: str) -> ChainState:
        """Where a chain stands; a new one stands at its beginning."""
        with self._lock:
            return self._chains.setdefault(chain_id, ChainState(service_sid))

    def add(self, pages: Mapping[str, tuple[pa.Table, Progress]]) -> None:
        """Store some pages of a chain: the part and what did not fit first, then the line that makes them count.

        Several chains of one service share one part, which is the first one's. They must have ended: a chain that has
        ended never starts over, which would forget the rows of the others.
        """
        first, *others = pages
        state, table = self._chains[first], pa.concat_tables(rows for rows, _ in pages.values())
        part = None
        if table.num_rows:
            shard = first.replace(f":{state.service_sid}", "").replace(":", "-") + ("-and-others" if others else "")
            part = self._write_part(state.service_sid, f"{shard}-{state.written:05}", table)
            self._keys.add(self.folder / part.path, table.column("sid"))
        facts: dict[str, dict[str, Any]] = {}
        for chain, (rows, progress) in pages.items():
            aside = None
            if progress.rejected:
                aside = write_rejected(self.folder, chain, self._chains[chain].set_aside, progress.rejected)
            facts[chain] = {**vars(progress), "rejected": builtins(aside) if aside else None}
            if others:
                facts[chain]["rows"] = rows.num_rows
        self._log(first, part, {"chains": facts} if others else facts[first])

    def start_over(self, chain_id: str) -> None:
        """Forget what a chain has, because it can only start over."""
        self._log(chain_id, None, {"restart": True})

    def commit(self, finished_at: datetime, chains: Collection[str]) -> Manifest:
        """Remove duplicates, checksum everything, and declare the snapshot of these chains finished.

        Raises `RefusedError` while one of them, or another that was begun, has not come to its end: a snapshot that
        lacks pages is never finished.
        """
        done = {chain for chain, state in self._chains.items() if state.done}
        if unfinished := sorted({*chains, *self._chains} - done):
            raise RefusedError(
                f"Chain {unfinished[0]} has not come to its end", remedy="Extract once more into the same folder"
            )
        make_own_folder(self.folder / BINDINGS_FOLDER)
        self._drop_duplicates()
        self._remove_unnamed()
        states = dict(sorted(self._chains.items()))
        files = [part for state in states.values() for part in state.parts]
        rows = sum(file.rows for file in files)
        files += [file_record(self.folder, self.folder / f"{name}.parquet") for name in _TABLES]
        if self.manifest.push_errors and not self.manifest.push_errors.note:
            files.append(file_record(self.folder, self.folder / PUSH_ERRORS_FILE))
        rejected = [file for state in states.values() for file in state.rejected]
        if rejected:
            files.append(put_together(self.folder, rejected))
        self.manifest = self.manifest.finished(
            finished_at=finished_at.isoformat(),
            rows=rows,
            duplicates_removed=sum(state.rows for state in states.values()) - rows,
            rejected=sum(file.rows for file in rejected),
            chains=tuple(_chain_record(chain, state) for chain, state in states.items()),
            files=tuple(sorted(files, key=lambda file: file.path)),
        )
        self.manifest.write(self.folder)
        self._checkpoint.close()
        clear_up(self.folder)
        sync(self.folder)
        return self.manifest

    def _drop_duplicates(self) -> None:
        """Replace parts by ones without their repeated rows, service by service, by lines of the checkpoint."""
        owners: dict[str, dict[Path, str]] = {}
        for chain, state in sorted(self._chains.items()):
            for part in state.parts:
                owners.setdefault(state.service_sid, {})[self.folder / part.path] = chain
        for service_sid, chains in owners.items():
            if self._keys.are_distinct(list(chains)):
                continue
            for path, table in without_duplicates(list(chains)):
                new = self._write_part(service_sid, f"{path.stem}-once", table) if table.num_rows else None
                old = path.relative_to(self.folder).as_posix()
                self._log(chains[path], new, {"replaces": old})

    def _write_part(self, service_sid: str, name: str, table: pa.Table) -> FileRecord:
        folder = self.folder / BINDINGS_FOLDER / f"service_sid={service_sid}"
        make_own_folder(folder.parent)
        make_own_folder(folder)
        data, path = parquet_bytes(table), folder / f"{name}.parquet"
        write_whole(path, data, private=True, sweeps=False)  # `_remove_unnamed` does that
        sha256 = hashlib.sha256(data).hexdigest()
        return FileRecord(path.relative_to(self.folder).as_posix(), table.num_rows, len(data), sha256)

    def _log(self, chain_id: str, part: FileRecord | None, facts: dict[str, Any]) -> None:
        """Make something count: one synced line, and the same in memory."""
        line = {
            "chain": chain_id,
            "service_sid": self._chains[chain_id].service_sid,
            "part": builtins(part) if part else None,
            **facts,
        }
        with self._lock:
            if not self._is_open:
                raise RefusedError(f"{self.folder} is not open any more", remedy="Open it again")
            lines = lines_of(line)
            for one in lines:  # one that cannot be read again would spoil all the others
                check_line(one)
            self._checkpoint.append(line)
            for one in lines:
                self._take(one)

    def _take(self, line: dict[str, Any]) -> None:
        chain, service_sid = line["chain"], line["service_sid"]
        if not is_service_sid(service_sid) or service_sid not in chain.split(":"):
            raise ValueError(f"{chain} is no chain of {service_sid}")
        state = self._chains.get(chain, ChainState(service_sid))
        if line.get("restart"):
            restarts = state.restarts + 1
            state = ChainState(service_sid, written=state.written, restarts=restarts, set_aside=state.set_aside)
        else:
            state.take(line)
        self._chains[chain] = state

    def _remove_unnamed(self) -> None:
        sweep(self.folder)
        named = {part.path for state in self._chains.values() for part in state.parts}
        for service in sorted((self.folder / BINDINGS_FOLDER).glob("*")):
            for path in service.iterdir() if service.is_dir() and not service.is_symlink() else ():
                if path.relative_to(self.folder).as_posix() not in named:
                    _remove(path)
            if service.is_symlink() or not service.is_dir() or not any(service.iterdir()):
                _remove(service)
        remove_rejected(self.folder, {file.path for state in self._chains.values() for file in state.rejected})


def open_writer(folder: Path, manifest: Manifest, *, restart: bool = False) -> SnapshotWriter:
    """A writer for a folder: a new snapshot, or the unfinished one in it.

    Raises `RefusedError` if the folder holds a finished snapshot, one begun with other filters or for another
    account, or anything else.
    """
    refuse_unless_unfinished(folder)
    make_private_folder(folder)
    held = hold(folder)
    try:
        refuse_unless_unfinished(folder)  # it may have been finished since, by whoever held it
        if restart or not (folder / MANIFEST).exists():
            writer = SnapshotWriter(folder, manifest, held)
            writer.begin()
            return writer
        begun = read_manifest(folder)
        refuse_other_address(folder, begun, manifest.addresses)
        if any(getattr(begun, name) != getattr(manifest, name) for name in _FIXED):
            raise RefusedError(
                f"{folder} was begun for another account, from another source or with other filters",
                kept="It is as it was",
                remedy="Use the options that it was begun with, or start over with --restart",
            )
        writer = SnapshotWriter(folder, begun, held)
        writer.resume()
    except BaseException:
        os.close(held)
        raise
    return writer


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one; of a link only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _chain_record(chain: str, state: ChainState) -> ChainRecord:
    return ChainRecord(
        chain=chain,
        service_sid=state.service_sid,
        pages=state.pages,
        rows=state.rows,
        rejected=sum(file.rows for file in state.rejected),
        page_size=state.page_size,
        requests=state.requests,
        retries=state.requests - state.pages,
        restarts=state.restarts,
    )


def file_record(folder: Path, path: Path) -> FileRecord:
    """What the manifest says of a Parquet file in a snapshot."""
    rows = pq.read_metadata(path).num_rows
    return FileRecord(path.relative_to(folder).as_posix(), rows, path.stat().st_size, sha256_of(path))
