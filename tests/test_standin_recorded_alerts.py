"""A snapshot's push errors are served as alerts: whoever reads them gets the same rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from msgspec.structs import replace

from migrate.model.errors import InputError
from migrate.model.schemas import PUSH_ERRORS
from migrate.snapshot.manifest import PUSH_ERRORS_FILE, PushErrorsRead, read_manifest
from migrate.snapshot.writer import file_record
from migrate.standin.from_snapshot import world_of
from migrate.standin.server import StandInServer
from tests.conftest import Run, Serve, service_sid
from tests.snapshots import AS_OF, credential, credential_sid, write_snapshot

SERVICE, BINDING = service_sid(1), "BS" + "5" * 32


def error(number: int, hours: float | None, **row: Any) -> dict[str, Any]:
    date = None if hours is None else AS_OF - timedelta(hours=hours)
    return {"sid": f"NO{number:032x}", "date": date, "error_code": 52117, "log_level": "error", **row}


ERRORS = [
    error(4, 700, error_code=52004, service_sid=SERVICE),
    error(3, 50, service_sid=SERVICE, credential_sid=credential_sid(1), binding_sid=BINDING),
    error(2, 50, credential_sid=credential_sid(1), log_level="warning", error_code=52116),
    error(1, 0, log_level=None),
    error(5, None, binding_sid=BINDING),
]


def snapshot_with(folder: Path, table: pa.Table) -> Path:
    """A snapshot that took push errors along."""
    write_snapshot(folder, {SERVICE: {"friendly_name": "one"}}, {}, [credential(1, "fcm")])
    pq.write_table(table, folder / PUSH_ERRORS_FILE)
    manifest = read_manifest(folder)
    read = PushErrorsRead((AS_OF - timedelta(days=30)).isoformat(), AS_OF.isoformat(), 9, len(table))
    record = file_record(folder, folder / PUSH_ERRORS_FILE)
    replace(manifest, push_errors=read, files=(*manifest.files, record)).write(folder)
    return folder


def listed(server: StandInServer, **params: Any) -> list[dict[str, Any]]:
    auth = (server.world.account_sid, server.world.auth_token)
    answer = requests.get(f"{server.url}/v1/Alerts", params=params, auth=auth, timeout=10)
    found: list[dict[str, Any]] = answer.json()["alerts"]
    return found


def test_a_snapshots_push_errors_are_served_by_date_without_texts(tmp_path: Path, serve: Serve) -> None:
    source = snapshot_with(tmp_path / "s", pa.Table.from_pylist(ERRORS, schema=PUSH_ERRORS))
    server = serve(world_of(source).world)
    found = listed(server)
    assert [int(item["sid"][2:], 16) for item in found] == [1, 3, 2, 4, 5]
    by_sid = {int(item["sid"][2:], 16): item for item in found}
    assert (by_sid[3]["resource_sid"], by_sid[3]["service_sid"], by_sid[3]["alert_text"]) == (
        BINDING, SERVICE, credential_sid(1),
    )  # fmt: skip
    assert (by_sid[2]["resource_sid"], by_sid[2]["alert_text"]) == (credential_sid(1), None)
    assert (by_sid[5]["date_generated"], by_sid[5]["date_created"]) == (None, None)
    assert {item["sid"] for item in listed(server, LogLevel="warning")} == {by_sid[2]["sid"]}
    assert len(listed(server, StartDate="2026-06-14")) == 1
    auth = (server.world.account_sid, server.world.auth_token)
    for sid, status in ((by_sid[4]["sid"], 200), ("NO" + "f" * 32, 404)):
        assert requests.get(f"{server.url}/v1/Alerts/{sid}", auth=auth, timeout=10).status_code == status


def test_an_extract_from_a_served_snapshot_has_the_same_push_errors(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    source = snapshot_with(tmp_path / "s", pa.Table.from_pylist(ERRORS, schema=PUSH_ERRORS))
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", serve(world_of(source).world).url)
    assert run("extract", "--out", tmp_path / "again").exit_code == 0

    def rows(folder: Path) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(folder / PUSH_ERRORS_FILE).to_pylist()
        return sorted(found, key=lambda row: str(row["sid"]))

    assert rows(tmp_path / "again") == rows(source)


def test_push_errors_without_any_date_are_served_as_of_now(tmp_path: Path, serve: Serve) -> None:
    source = snapshot_with(tmp_path / "s", pa.Table.from_pylist(ERRORS[-1:], schema=PUSH_ERRORS))
    assert len(listed(serve(world_of(source).world), StartDate="2026-06-15T08:00:00Z")) == 1


def test_push_errors_that_cannot_be_served_are_one_line(tmp_path: Path) -> None:
    source = snapshot_with(tmp_path / "s", pa.table({"sid": ["NO1"]}))
    with pytest.raises(InputError, match=r"cannot be served: KeyError in its services, .* or push errors"):
        world_of(source)
