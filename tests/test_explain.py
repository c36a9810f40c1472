"""Explain: any binding accounted for, and the same as what was mapped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.map.explain import explain
from migrate.map.explanation import Explanation
from migrate.map.mapped_bindings import parts_in
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid, tiny_world
from tests.snapshots import binding, credential, credential_sid, write_snapshot

SERVICE = service_sid(1)


def test_every_kind_of_binding_in_the_demo_is_accounted_for(odd: Demo) -> None:
    frame = pd.read_parquet(odd.folder / "mapped" / "bindings")
    kinds = frame[["binding_type", "credential_sid", "outcome", "message_types", "findings"]].astype(str)
    frame = frame[~kinds.duplicated()]
    assert len(frame) > 40
    source = pd.read_parquet(odd.folder / "snapshot" / "bindings").set_index("sid")
    for row in frame.itertuples():
        found = explain(odd.folder / "mapped", row.sid)
        assert (found.binding["outcome"], found.binding["action"]) == (row.outcome, row.action)
        assert {code for code, _ in found.notes} == set(row.findings)
        assert found.binding["binding_type"] == source.loc[row.sid, "binding_type"]
        assert f"binding_types.{row.binding_type}" in {rule.name for rule in found.rules}
        assert found.device_must
        assert all(rule.reason for rule in found.rules)


def one(demo: Demo, outcome: str, kind: str) -> Explanation:
    """A binding of the demo with an outcome and a type."""
    frame = pd.read_parquet(demo.folder / "mapped" / "bindings")
    found = frame[(frame["outcome"] == outcome) & (frame["binding_type"] == kind)]
    return explain(demo.folder / "mapped", found["sid"].min())


def test_what_is_told_says_what_it_was_what_it_becomes_and_why(demo: Demo, run: Run) -> None:
    for outcome, kind, words in (
        ("blocked", "gcm", ["Becomes   fcm with (none)", 'binding_types.gcm = "fcm"', "binding-gcm", "Decide first"]),
        (
            "expired",
            "apn",
            ["limits.lifetime_days = 365", "days before the snapshot", "Nothing: the binding is past"],
        ),
        (
            "reduced",
            "apn",
            ['message_types.invited_to_channel = "drop"', "directly", "must register again"],
        ),
    ):
        sid = one(demo, outcome, kind).binding["sid"]
        result = run("explain", demo.folder / "mapped", sid)
        assert (result.exit_code, result.stderr) == (0, "")
        for word in [sid, outcome, *words]:
            assert word in result.stdout


def test_an_identity_is_masked_unless_it_is_asked_for(demo: Demo, run: Run) -> None:
    frame = pd.read_parquet(demo.folder / "mapped" / "bindings")
    row = frame[frame["identity"] == "customer-0001@example.test"].iloc[0]
    command = ("explain", demo.folder / "mapped", row["sid"])
    for options in ((), ("--json",)):
        assert "customer-0001@example.test" not in run(*command, *options).output
        assert "customer-0001@example.test" in run(*command, *options, "--show-identities").stdout
    told = json.loads(run(*command, "--json").stdout)
    assert told["binding"]["identity"] == "cu…st (26)"
    assert told["service"]["friendly_name"] == "Rider support"
    assert told["pushes"]["new_message"] is True
    assert {item["name"] for item in told["rules"]} >= {"message_types.new_message"}


def test_the_rules_of_the_mapping_are_told_and_not_those_of_today(tmp_path: Path, run: Run) -> None:
    rows = [binding(1, binding_type="gcm", message_types=["invited_to_channel"], identity=None, date_updated=None)]
    write_snapshot(tmp_path / "s", {SERVICE: {"friendly_name": None}}, {SERVICE: [rows]}, [credential(2, "fcm")])
    (tmp_path / "mine.toml").write_text(
        f'[message_types]\ninvited_to_channel = "added_to_conversation"  # we add people\n'
        f'[credentials]\n{credential_sid(1)} = "{credential_sid(2)}"\n[services]\nleave_out = ["{SERVICE}"]'
    )
    options = ("--rules", tmp_path / "mine.toml")
    assert run("map", tmp_path / "s", "--out", tmp_path / "m", *options).exit_code == 0
    (tmp_path / "mine.toml").unlink()
    shown = run("explain", tmp_path / "m", rows[0]["sid"]).stdout
    for words in (
        "(no name) (left out by the rules)",
        "Identity  (none)",
        "never dated",
        f"fcm with {credential_sid(2)}, for added_to_conversation (not stated in push-config.yaml)",
        'we add people [mine.toml line 2; by default "drop"]',
        f"credentials.{credential_sid(1)} = ",
        "binding-incomplete  identity",
        "an access token whose push_credential_sid is the new credential",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (None, "for message types that Twilio does not name"),
        ([], "for no message type"),
        ([None, "", "x\x1b[31m"], 'for (none), "", x\\u001b[31m'),
    ],
)
def test_odd_message_types_are_shown_as_they_are(
    tmp_path: Path, run: Run, types: list[str | None] | None, words: str
) -> None:
    rows = [binding(1, message_types=types)]
    write_snapshot(tmp_path / "s", {SERVICE: {"friendly_name": "x"}}, {SERVICE: [rows]})
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    assert words in run("explain", tmp_path / "m", rows[0]["sid"]).stdout


def test_a_binding_that_is_not_there_is_one_line(demo: Demo, run: Run) -> None:
    result = run("explain", demo.folder / "mapped", "BS" + "0" * 32)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "among its 328" in result.stderr


@pytest.mark.parametrize("sid", ["", "x' OR 1=1", "IS" + "0" * 32, "\udcff", "BS" + "x" * 99_999])
def test_what_is_no_binding_is_wrong_usage_and_not_repeated(demo: Demo, run: Run, sid: str) -> None:
    result = run("explain", demo.folder / "mapped", sid)
    assert result.exit_code == 2
    assert len(result.stderr) < 300


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"as_of": "2026-06-15T08:00:00+00:00"', '"as_of": "x"'),
        ('"as_of": "2026-06-15T08:00:00+00:00"', '"as_of": null'),
        ('"as_of": "2026-06-15T08:00:00+00:00"', '"as_of": "2026-06-15T08:00:00"'),
        ('"left_out": false,', ""),
        ('"left_out": false', '"left_out": 0'),
        ('"name": 20', '"name": "x"'),
        ('"live": 9', '"live": -9'),
        ('"count": 14', '"count": -5'),
        (f'"service_sid": "{SERVICE}"', '"service_sid": []'),
    ],
)
def test_a_summary_that_no_mapping_wrote_is_one_line(
    tmp_path: Path, run: Run, demo: Demo, old: str, new: str
) -> None:
    folder = Path(shutil.copytree(demo.folder / "mapped", tmp_path / "m"))
    text = (folder / "summary.json").read_text("utf-8")
    assert old in text
    (folder / "summary.json").write_text(text.replace(old, new), "utf-8")
    for command in (["explain", folder, "BS" + "0" * 32], ["load", folder, "--replay", CASSETTE]):
        result = run(*command)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "its summary.json cannot be read" in result.stderr


def test_nothing_is_told_from_a_folder_that_was_changed(tmp_path: Path, run: Run, demo: Demo) -> None:
    sid = one(demo, "reduced", "apn").binding["sid"]

    def told(name: str) -> str:
        result = run("explain", tmp_path / name, sid)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        return result.stderr

    for name in ("rules", "absent", "bytes", "rows", "torn", "missing", "other"):
        shutil.copytree(demo.folder / "mapped", tmp_path / name)
    rules = tmp_path / "rules" / "rules.toml"
    rules.write_text(rules.read_text("utf-8").replace("lifetime_days = 365", "lifetime_days = 3"), "utf-8")
    assert "is not what" in told("rules")
    (tmp_path / "absent" / "rules.toml").unlink()
    assert "rules.toml cannot be read" in told("absent")
    (tmp_path / "bytes" / "rules.toml").write_bytes(b"\xff")
    assert "rules.toml cannot be read" in told("bytes")
    (path,) = parts_in(tmp_path / "rows")
    table = pq.read_table(path, partitioning=None)
    outcomes = table.column("outcome").to_pylist()
    changed = table.set_column(
        table.schema.get_field_index("outcome"), table.schema.field("outcome"), [["carried"] * len(outcomes)]
    )
    pq.write_table(changed, path)
    assert "not as they were mapped" in told("rows")
    (path,) = parts_in(tmp_path / "torn")
    path.write_bytes(path.read_bytes()[:100])
    assert "not as they were mapped" in told("torn")
    parts_in(tmp_path / "missing")[0].unlink()
    assert "not as they were mapped" in told("missing")
    (path,) = parts_in(tmp_path / "other")
    pq.write_table(table.select(["sid"]), path)
    assert "not as they were mapped" in told("other")


def test_a_mapping_without_any_binding_has_none_to_explain(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[]))
    assert run("run", "--out", tmp_path).exit_code == 0
    assert "among its 0" in run("explain", tmp_path / "mapped", "BS" + "0" * 32).stderr


def test_a_binding_that_two_services_list_is_accounted_for_in_both(tmp_path: Path, run: Run) -> None:
    other, sid = service_sid(2), "BS" + "ab12" * 8
    services = {SERVICE: {"friendly_name": "First"}, other: {"friendly_name": "Second"}}
    rows = {SERVICE: [[binding(1, sid=sid, identity="one")]], other: [[binding(2, sid=sid, identity="two")]]}
    write_snapshot(tmp_path / "s", services, rows)
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    result = run("explain", tmp_path / "m", sid, "--show-identities")
    assert result.exit_code == 0
    assert f"2 services list this binding: {SERVICE}, {other}" in result.stdout
    for words in ("First", "Second", "one", "two"):
        assert words in result.stdout
    told = json.loads(run("explain", tmp_path / "m", sid, "--json").stdout)
    assert [told["service"]["service_sid"], *(each["service"]["service_sid"] for each in told["others"])] == [
        SERVICE, other,
    ]  # fmt: skip
    only = run("explain", tmp_path / "m", sid, "--service", other)
    assert (only.exit_code, "Second" in only.stdout, "First" in only.stdout) == (0, True, False)
    missing = run("explain", tmp_path / "m", sid, "--service", service_sid(3))
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert f"in {service_sid(3)}" in missing.stderr


@pytest.mark.parametrize("stored", ["BS" + "ab12" * 8, "BS" + "AB12" * 8])
@pytest.mark.parametrize("spelt", [str, str.upper, str.lower])
def test_a_sid_is_found_in_whichever_case_it_is_written(tmp_path: Path, run: Run, stored: str, spelt: Any) -> None:
    write_snapshot(tmp_path / "s", {SERVICE: {"friendly_name": "x"}}, {SERVICE: [[binding(1, sid=stored)]]})
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    result = run("explain", tmp_path / "m", spelt(stored))
    assert (result.exit_code, stored in result.stdout) == (0, True), result.output


def test_a_service_is_meant_in_whichever_case_it_is_written(tmp_path: Path, run: Run, serve: Serve) -> None:
    sid = "IS" + "ab" * 16
    serve({**tiny_world(), "services": [{**tiny_world()["services"][0], "sid": sid}]})
    assert run("extract", "--out", tmp_path / "s", "--service", sid.upper()).exit_code == 0
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["filters"]["services"] == [sid]
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    assert run("load", tmp_path / "m", "--service", sid.lower()).exit_code == 0
