"""Finished snapshots with any rows in any parts, without a server that could have them. All of it is synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from migrate.model.schemas import BINDINGS, CREDENTIALS, PUSH_ERRORS, SERVICES
from migrate.snapshot.manifest import PUSH_ERRORS_FILE, FileRecord, Filters, Manifest, PushErrorsRead
from migrate.snapshot.writer import file_record
from migrate.storage.parquet import parquet_bytes

AS_OF = datetime(2026, 6, 15, 8, tzinfo=UTC)
ACCOUNT = "AC" + "0" * 32


def write_snapshot(
    folder: Path,
    services: Mapping[str, Mapping[str, Any]],
    bindings: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    credentials: Sequence[Mapping[str, Any]] = (),
    push_errors: Sequence[Mapping[str, Any]] | None = None,
    **changes: Any,
) -> Path:
    """Write a snapshot: services by SID, bindings as the parts of each service, credentials; changes to the manifest.

    With `push_errors`, those of the 30 days before it; changes to what the manifest says of them are in `read`.
    """
    read = PushErrorsRead((AS_OF - timedelta(days=30)).isoformat(), AS_OF.isoformat())
    read = replace(read, alerts=len(push_errors or ()), errors=len(push_errors or ()), **changes.pop("read", {}))
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
    if push_errors is not None:
        changes["push_errors"] = read
        if not read.note:
            put(PUSH_ERRORS_FILE, push_errors, PUSH_ERRORS)
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


def push_error(number: int, code: int, days: float | None = 1, **changes: Any) -> dict[str, Any]:
    """A push error, so many days before the snapshot (None: undated), which names nothing but by changes."""
    date = None if days is None else AS_OF - timedelta(days=days)
    return {"sid": f"NO{number:032x}", "date": date, "error_code": code, "log_level": "error", **changes}


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
