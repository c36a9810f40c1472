"""What a snapshot holds, and what is set aside."""

from __future__ import annotations

import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.extract import buffer
from migrate.standin.paging import PageSizes
from migrate.standin.world import World
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.extract.conftest import empty_account, extract_of_test, manifest, rows
from tests.scripted import Reply, Scripted

COLUMNS = [
    "sid",
    "account_sid",
    "endpoint",
    "identity",
    "binding_type",
    "credential_sid",
    "message_types",
    "date_created",
    "date_updated",
    "extra",
    "service_sid",
]


def test_pandas_reads_one_row_per_binding_with_the_documented_columns(odd: Demo, odd_world: World) -> None:
    frame = rows(odd.folder / "snapshot")
    assert list(frame.columns) == COLUMNS
    expected = {b.sid: s.sid for s in odd_world.services.values() for b in s.bindings}
    assert dict(zip(frame["sid"], frame["service_sid"].astype(str), strict=True)) == expected
    assert len(frame) == len(expected)
    assert str(frame["date_updated"].dtype) == "datetime64[us, UTC]"


def test_every_value_arrives_as_twilio_has_it(odd: Demo, odd_world: World) -> None:
    frame = rows(odd.folder / "snapshot").set_index("sid")
    for service in odd_world.services.values():
        for binding in service.bindings:
            row = frame.loc[binding.sid]
            for name in ("identity", "endpoint", "binding_type", "credential_sid"):
                wanted = getattr(binding, name)
                assert row[name] == wanted or (wanted is None and pd.isna(row[name]))
            if binding.message_types is None:
                assert row["message_types"] is None
            else:
                assert list(row["message_types"]) == binding.message_types
            if binding.updated is None:
                assert pd.isna(row["date_updated"])
            else:
                assert row["date_updated"] == pd.Timestamp(binding.updated).floor("s")


def test_services_keep_both_sides_notifications(odd: Demo) -> None:
    table = pq.read_table(odd.folder / "snapshot" / "services.parquet").to_pylist()
    found = {row["sid"]: row for row in table}
    assert json.loads(found[service_sid(3)]["notifications"]) == {}
    target = json.loads(found[service_sid(6)]["conversations_notifications"])
    assert target["new_message"]["template"] == "${PARTICIPANT}: ${MESSAGE}"
    assert json.loads(found[service_sid(1)]["extra"])["limits"] == {"channel_members": 100, "user_channels": 250}
    credentials = pq.read_table(odd.folder / "snapshot" / "credentials.parquet").to_pylist()
    assert [row["sandbox"] for row in credentials] == ["False", "True", None, None, None, "False"]


def test_the_manifest_accounts_for_every_file_and_chain(odd: Demo) -> None:
    facts = odd.json("snapshot", "manifest.json")
    assert (facts["status"], facts["source"], facts["rows"], facts["rejected"]) == ("finished", "chat", 328, 0)
    assert facts["as_of"] == "2026-06-15T08:00:00+00:00"
    assert sum(chain["rows"] for chain in facts["chains"]) == 328
    assert {chain["page_size"] for chain in facts["chains"]} == {5}
    assert all(len(file["sha256"]) == 64 and file["bytes"] for file in facts["files"])
    on_disk = {p.relative_to(odd.folder / "snapshot").as_posix() for p in (odd.folder / "snapshot").rglob("*.*")}
    on_disk = {path for path in on_disk if not path.startswith("bindings/") or path.endswith(".parquet")}
    assert on_disk == {file["path"] for file in facts["files"]} | {"manifest.json"}


def test_files_with_personal_data_are_for_their_owner_alone(odd: Demo) -> None:
    for path in (odd.folder / "snapshot").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    for path in (odd.folder / "mapped" / "bindings").rglob("*.parquet"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_filters_narrow_the_snapshot_and_are_recorded(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World
) -> None:
    serve(odd_world)
    out = tmp_path / "s"
    options = ["--service", service_sid(2), "--service", service_sid(1), "--binding-type", "fcm"]
    assert (
        run("extract", "--out", out, *options, "--identity", "driver-0001", "--identity", "three-devices").exit_code
        == 0
    )
    frame = rows(out)
    assert Counter(frame["identity"]) == {"driver-0001": 1, "three-devices": 1}
    assert manifest(out)["filters"] == {
        "services": [service_sid(1), service_sid(2)],
        "binding_types": ["fcm"],
        "identities": ["driver-0001", "three-devices"],
        "identity_file": None,
    }


@pytest.mark.parametrize("sizes", [PageSizes("openapi", "cap"), PageSizes("docs", "cap")])
def test_a_capped_page_size_loses_nothing_and_is_recorded(
    tmp_path: Path, run: Run, serve: Serve, sizes: PageSizes
) -> None:
    serve(tiny_world(bindings=[{"count": 120}]), sizes)
    assert run("extract", "--out", tmp_path / "s", "--page-size", 1000).exit_code == 0
    assert len(rows(tmp_path / "s")) == 120
    used = 50 if sizes.maxima == "openapi" else 1000
    assert {chain["page_size"] for chain in manifest(tmp_path / "s")["chains"]} == {used}


@pytest.mark.parametrize(("asked", "used"), [(1000, 50), (99, 50), (7, 7)])
def test_a_refused_page_size_falls_back_to_one_that_the_server_takes(
    tmp_path: Path, run: Run, serve: Serve, asked: int, used: int
) -> None:
    serve(tiny_world(bindings=[{"count": 120}]), PageSizes("openapi", "refuse"))
    assert run("extract", "--out", tmp_path / "s", "--page-size", asked).exit_code == 0
    assert len(rows(tmp_path / "s")) == 120
    assert {chain["page_size"] for chain in manifest(tmp_path / "s")["chains"]} == {used}


def test_a_refusal_that_no_page_size_mends_is_one_line(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return Reply({"code": 20001, "message": "BindingType is wrong"}, 400)
        return empty_account(server, path)

    result, server = extract_of_test(answer, tmp_path, run, environment)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "400, code 20001: BindingType is wrong" in result.stderr
    sizes = [path.rpartition("=")[2] for _, path, _ in server.seen if "/Bindings" in path]
    assert sizes == ["1000", "100", "50"]


def test_records_that_do_not_fit_are_kept_with_the_reason(tmp_path: Path, run: Run, serve: Serve) -> None:
    odd: list[tuple[dict[str, Any], str]] = [
        ({"identity": 5}, "identity is not a text"),
        ({"sid": None}, "sid is missing"),
        ({"message_types": "new_message"}, "message_types is not a list of texts"),
        ({"message_types": ["new_message", None]}, "message_types is not a list of texts"),
        ({"date_updated": "yesterday"}, "date_updated is not a date"),
        ({"date_updated": 12}, "date_updated is not a date"),
        ({"service_sid": service_sid(7)}, "service_sid names another service"),
        ({"endpoint": "half a pair \ud83d"}, "endpoint is not valid Unicode"),
    ]
    serve(tiny_world(bindings=[{"count": 2}, *({"extra": extra} for extra, _ in odd)]))
    result = run("extract", "--out", tmp_path / "s", "--page-size", 3)
    assert result.exit_code == 0
    assert "8 records, kept in rejected.jsonl" in result.stdout
    assert len(rows(tmp_path / "s")) == 2
    kept = [json.loads(line) for line in (tmp_path / "s" / "rejected.jsonl").read_text().splitlines()]
    assert [entry["reason"] for entry in kept] == [reason for _, reason in odd]
    for entry, (extra, _) in zip(kept, odd, strict=True):
        assert entry["record"].items() >= extra.items()
    mapped = run("map", tmp_path / "s", "--out", tmp_path / "m", "--json")
    found = {f["code"]: f["count"] for f in json.loads(mapped.stdout)["findings"]}
    assert found["bindings-rejected"] == 8


def test_a_record_that_is_no_object_is_kept_too(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return server.page("bindings", ["not an object", {"sid": "BS" + "1" * 32}])
        return empty_account(server, path)

    result, _ = extract_of_test(answer, tmp_path, run, environment)
    assert result.exit_code == 0
    assert json.loads((tmp_path / "s" / "rejected.jsonl").read_text())["record"] == "not an object"
    assert list(rows(tmp_path / "s")["sid"]) == ["BS" + "1" * 32]


def test_unknown_fields_go_into_extra(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"extra": {"platform": {"os": "x"}, "age": 3}}, {}]))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    extra = list(rows(tmp_path / "s")["extra"])
    assert json.loads(extra[0]) == {"age": 3, "platform": {"os": "x"}}
    assert pd.isna(extra[1])


def test_a_row_seen_twice_is_kept_once_as_the_later_page_had_it(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = {"sid": "BS" + "d" * 32}
    groups = [
        {"extra": {**twice, "identity": "as first seen"}},
        {"count": 5},
        {"extra": {**twice, "identity": "as last seen"}},
        {"count": 2},
    ]
    serve(tiny_world(bindings=groups))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 2)
    result = run("extract", "--out", tmp_path / "s", "--page-size", 2)
    assert "1 row seen twice, kept once" in result.stdout
    frame = rows(tmp_path / "s")
    assert len(frame) == 8
    assert list(frame.loc[frame["sid"] == twice["sid"], "identity"]) == ["as last seen"]
    facts = manifest(tmp_path / "s")
    assert (facts["rows"], facts["duplicates_removed"]) == (8, 1)
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


def test_an_account_without_bindings_makes_a_snapshot(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve({**tiny_world(), "services": []})
    assert run("run", "--out", tmp_path).exit_code == 0
    assert manifest(tmp_path / "snapshot")["rows"] == 0
    assert json.loads((tmp_path / "plan.json").read_bytes())["changes"] == []


def test_conversations_that_cannot_be_read_does_not_keep_the_bindings_waiting(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--conversations-url", "http://127.0.0.1:1")
    assert result.exit_code == 0
    (service,) = pq.read_table(tmp_path / "s" / "services.parquet").to_pylist()
    assert service["conversations_notifications"] is None
    assert len(rows(tmp_path / "s")) == 3
