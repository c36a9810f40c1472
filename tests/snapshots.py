"""Finished snapshots with any rows in any parts, without a server that could have them. All of it is synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from migrate.model.schemas import BINDINGS, CREDENTIALS, SERVICES
from migrate.snapshot.manifest import FileRecord, Filters, Manifest
from migrate.snapshot.writer import file_record
from migrate.storage.parquet import parquet_bytes

AS_OF = datetime(2026, 6, 15, 8, tzinfo=UTC)
ACCOUNT = "AC" + "0" * 32


def write_snapshot(
    folder: Path,
    services: Mapping[str, Mapping[str, Any]],
    bindings: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    credentials: Sequence[Mapping[str, Any]] = (),
    **changes: Any,
) -> Path:
    """Write a snapshot: services by SID, bindings as the parts of each service, credentials; changes to the manifest."""
    files: list[FileRecord] = []

    def put(name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet_bytes(pa.Table.from_pylist([dict(row) for row in rows], schema=schema)))
        files.append(file_record(folder, path))

    put("services.parquet", [{"sid": sid, **row} for sid, row in services.items()], SERVICES)
    put("credentials.parquet", credentials, CREDENTIALS)
    for sid, parts in bindings.items():
        for number, rows in enumerate(parts):
            put(f"bindings/service_sid={sid}/part-{number:05}.parquet", rows, BINDINGS)
    total = sum(len(part) for parts in bindings.values() for part in parts)
    moment = AS_OF.isoformat()
    manifest = Manifest(
        status="finished",
        tool_version="test",
        account_sid=ACCOUNT,
        source="chat",
        as_of=moment,
        started_at=moment,
        filters=Filters(),
        finished_at=moment,
        rows=total,
        files=tuple(files),
    )
    replace(manifest, **changes).write(folder)
    return folder


def binding(number: int, **changes: Any) -> dict[str, Any]:
    """A binding that is as live as can be, with changes."""
    row: dict[str, Any] = {
        "sid": f"BS{number:032x}",
        "endpoint": f"device-{number:08}-of-a-user",
        "identity": f"user-{number:08}@example.test",
        "binding_type": "apn",
        "credential_sid": credential_sid(1),
        "message_types": ["new_message"],
        "date_created": None,
        "date_updated": AS_OF,
    }
    return {**row, **changes}


def credential_sid(number: int) -> str:
    return f"CR{number:032}"


def credential(number: int, kind: str, **changes: Any) -> dict[str, Any]:
    """A credential that nothing is to be said of, with changes."""
    row = {
        "sid": credential_sid(number),
        "friendly_name": f"{kind} credential",
        "type": kind,
        "sandbox": "False",
        "date_updated": AS_OF,
    }
    return {**row, **changes}
