"""Writes a snapshot so that it can be killed at any instant and gone on with.

A part file is put in place first; then one synced line in the checkpoint names it, with the address of the
chain's next page. A part that no line names never happened. The manifest says `finished` only when everything
is there; the checkpoint goes last.
"""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.errors import RefusedError
from migrate.model.schemas import CREDENTIALS, SERVICES
from migrate.snapshot.deduplicate import drop_duplicates
from migrate.snapshot.files import append_synced, make_private_folder, sha256_of, sync_folder, write_whole
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import ChainRecord, FileRecord, Manifest, read_manifest

CHECKPOINT = "checkpoint.jsonl"
REJECTED = "rejected.jsonl"
BINDINGS_FOLDER = "bindings"
_TABLES = {"services": SERVICES, "credentials": CREDENTIALS}


@dataclass
class ChainState:
    """How far a chain has come: its parts on disk, and the page to go on from (None: the first)."""

    service_sid: str
    parts: list[FileRecord] = field(default_factory=list)
    pages: int = 0
    rows: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 0
    next_url: str | None = None
    done: bool = False


@dataclass(frozen=True)
class Progress:
    """What a part adds to its chain: pages walked, records that did not fit, and where the chain goes on."""

    pages: int
    page_size: int
    next_url: str | None
    rejected: tuple[dict[str, Any], ...] = ()


class SnapshotWriter:
    """One snapshot in the making. Its methods may be called from several threads."""

    def __init__(self, folder: Path, manifest: Manifest, chains: dict[str, ChainState]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._chains = chains
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, folder: Path, manifest: Manifest) -> SnapshotWriter:
        """Start a new snapshot in a folder that is absent or empty."""
        make_private_folder(folder)
        manifest.write(folder)
        return cls(folder, manifest, {})

    @classmethod
    def resume(cls, folder: Path, manifest: Manifest) -> SnapshotWriter:
        """Go on with an unfinished snapshot: read the checkpoint and remove what no line of it names."""
        chains: dict[str, ChainState] = {}
        try:
            for line in _complete_lines(folder / CHECKPOINT):
                _replay(chains, json.loads(line))
        except (ValueError, KeyError, TypeError):
            raise RefusedError(
                f"{folder / CHECKPOINT} cannot be read", remedy="Begin the snapshot anew with --restart"
            ) from None
        named = {part.path for state in chains.values() for part in state.parts}
        for path in sorted((folder / BINDINGS_FOLDER).glob("*/*")):
            if path.relative_to(folder).as_posix() not in named:
                path.unlink()
        return cls(folder, manifest, chains)

    def has_tables(self) -> bool:
        """Whether services and credentials were stored before the interruption."""
        return all((self.folder / f"{name}.parquet").exists() for name in _TABLES)

    def read_services(self) -> list[dict[str, Any]]:
        """The stored services, as plain values."""
        rows: list[dict[str, Any]] = pq.read_table(self.folder / "services.parquet").to_pylist()
        return rows

    def write_tables(self, services: list[dict[str, Any]], credentials: list[dict[str, Any]]) -> None:
        """Store the services and credentials, each a list of rows in the form of its schema."""
        for name, rows in (("credentials", credentials), ("services", services)):
            table = pa.Table.from_pylist(rows, schema=_TABLES[name])
            write_whole(self.folder / f"{name}.parquet", parquet_bytes(table), private=True)

    def chain(self, chain_id: str, service_sid: str) -> ChainState:
        """Where a chain stands; a new one stands at its beginning."""
        with self._lock:
            return self._chains.setdefault(chain_id, ChainState(service_sid))

    def add(self, chain_id: str, table: pa.Table, progress: Progress) -> None:
        """Store some pages of a chain: the part first, then the line that makes it count."""
        state = self._chains[chain_id]
        part = None
        if table.num_rows:
            shard = chain_id.replace(f":{state.service_sid}", "").replace(":", "-")
            part = self._write_part(f"{shard}-{len(state.parts):05}", state, table)
        line = {
            "chain": chain_id,
            "service_sid": state.service_sid,
            "part": asdict(part) if part else None,
            **asdict(progress),
        }
        with self._lock:
            append_synced(self.folder / CHECKPOINT, json.dumps(line))
            _replay(self._chains, line)

    def _write_part(self, name: str, state: ChainState, table: pa.Table) -> FileRecord:
        folder = self.folder / BINDINGS_FOLDER / f"service_sid={state.service_sid}"
        make_private_folder(folder.parent)
        make_private_folder(folder)
        path = folder / f"{name}.parquet"
        data = parquet_bytes(table)
        write_whole(path, data, private=True)
        return _record(self.folder, path)

    def commit(self, finished_at: datetime) -> Manifest:
        """Remove duplicates, checksum everything, and declare the snapshot finished."""
        make_private_folder(self.folder / BINDINGS_FOLDER)
        states = dict(sorted(self._chains.items()))
        files = self._settle_parts(list(states.values()))
        rejected = [record for state in states.values() for record in state.rejected]
        if rejected:
            lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in rejected)
            write_whole(self.folder / REJECTED, lines, private=True)
        rows = sum(file.rows for file in files)
        files += [_record(self.folder, self.folder / f"{name}.parquet") for name in _TABLES]
        self.manifest = self.manifest.finished(
            finished_at=finished_at.isoformat(),
            rows=rows,
            duplicates_removed=sum(state.rows for state in states.values()) - rows,
            rejected=len(rejected),
            chains=tuple(_chain_record(chain, state) for chain, state in states.items()),
            files=tuple(sorted(files, key=lambda file: file.path)),
        )
        self.manifest.write(self.folder)
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        sync_folder(self.folder)
        return self.manifest

    def _settle_parts(self, states: list[ChainState]) -> list[FileRecord]:
        """Every part's record after the removal of duplicates, which works service by service."""
        by_service: dict[str, list[FileRecord]] = {}
        for state in states:
            by_service.setdefault(state.service_sid, []).extend(state.parts)
        settled: list[FileRecord] = []
        for parts in by_service.values():
            changed = drop_duplicates([self.folder / part.path for part in parts], parquet_bytes)
            for part in parts:
                path = self.folder / part.path
                settled.append(_record(self.folder, path) if path in changed else part)
        return settled


def open_writer(folder: Path, manifest: Manifest, *, restart: bool = False) -> SnapshotWriter:
    """A writer for a folder: a new snapshot, or the unfinished one in it.

    Raises `RefusedError` if the folder holds a finished snapshot, one begun with other filters or for another
    account, or anything else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return SnapshotWriter.begin(folder, manifest)
    refuse_unless_unfinished(folder)
    if restart:
        for name in (
            BINDINGS_FOLDER,
            CHECKPOINT,
            REJECTED,
            *(f"{name}.parquet" for name in _TABLES),
            MANIFEST,
        ):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return SnapshotWriter.begin(folder, manifest)
    begun = read_manifest(folder)
    if (begun.account_sid, begun.source, begun.filters) != (
        manifest.account_sid,
        manifest.source,
        manifest.filters,
    ):
        raise RefusedError(
            f"{folder} was begun for another account or with other filters",
            kept="It is as it was",
            remedy="Go on with the options that it was begun with, or begin anew with --restart",
        )
    return SnapshotWriter.resume(folder, begun)


def refuse_unless_unfinished(folder: Path) -> None:
    """Raise `RefusedError` if a folder holds anything but an unfinished snapshot; absent or empty is fine."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / MANIFEST).exists():
        raise RefusedError(f"{folder} is not empty, and is no snapshot", remedy="Name another folder")
    if read_manifest(folder).status == "finished":
        raise RefusedError(
            f"{folder} holds a finished snapshot, which is never overwritten",
            remedy=f"Name another folder, or go on with: chat-migrate map {folder} --out MAPPED",
        )


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _complete_lines(path: Path) -> list[str]:
    """The lines of a log, without a last one that a crash cut short."""
    if not path.exists():
        return []
    *lines, last = path.read_text("utf-8").split("\n")
    if last:
        write_whole(path, "".join(line + "\n" for line in lines), private=True)
    return lines


def _replay(chains: dict[str, ChainState], line: dict[str, Any]) -> None:
    state = chains.setdefault(line["chain"], ChainState(line["service_sid"]))
    if line["part"]:
        part = FileRecord(**line["part"])
        state.parts.append(part)
        state.rows += part.rows
    state.pages += line["pages"]
    state.rejected += line["rejected"]
    state.page_size = line["page_size"] or state.page_size
    state.next_url = line["next_url"]
    state.done = line["next_url"] is None


def _record(folder: Path, path: Path) -> FileRecord:
    rows = pq.read_metadata(path).num_rows
    return FileRecord(path.relative_to(folder).as_posix(), rows, path.stat().st_size, sha256_of(path))


def _chain_record(chain: str, state: ChainState) -> ChainRecord:
    return ChainRecord(chain, state.service_sid, state.pages, state.rows, len(state.rejected), state.page_size)
