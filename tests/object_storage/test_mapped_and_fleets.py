"""Mapped folders, which are replaced as a whole, and a fleet's folder in a store."""

from __future__ import annotations

import json

import pytest

from migrate.remote import mirror, store
from tests.company import company, sid_of, states
from tests.conftest import Demo, Run
from tests.object_storage.conftest import Bucket
from tests.object_storage.test_same_as_here import files_in
from tests.object_storage.test_store_fails import puts_after

OTHERS = b"somebody else's"
EDIT = b"# a person's word\n"
CONFIG = "night/mapped/push-config.yaml"


@pytest.mark.parametrize(("number", "is_there"), [(0, False), (9, False), (0, True), (4, True)])
def test_a_mapping_whose_storing_is_cut_short_is_made_by_the_same_command(
    bucket: Bucket, run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch, number: int, is_there: bool
) -> None:
    monkeypatch.setattr(mirror, "PATIENCE", 0.1)
    monkeypatch.setattr(store, "_TRIES", 1)
    out = f"{bucket.url}/night/mapped"
    again = ["map", demo.folder / "snapshot", "--out", out]
    if is_there:
        assert run(*again).exit_code == 0
        bucket.client.put_object(Bucket=bucket.name, Key=CONFIG, Body=bucket.objects(CONFIG)[CONFIG] + EDIT)
        again.append("--overwrite")
    bucket.faults.wants = puts_after(bucket, number)
    failed = run(*again)
    assert failed.exit_code == 1, failed.output
    bucket.faults.wants = lambda method, path: False
    bucket.client.put_object(Bucket=bucket.name, Key="night/mapped/.kept/notes", Body=OTHERS)
    done = run(*again)
    assert done.exit_code == 0, done.stderr
    objects = bucket.objects()
    assert objects.pop("night/mapped/.kept/notes") == OTHERS
    if is_there:  # under a second name, or aside, of which is said where
        kept = [key for key, data in objects.items() if data.endswith(EDIT)]
        assert [key for key in kept if f"s3://{bucket.name}/{key}" in done.output]
    there = {
        key.removeprefix("night/mapped/"): data for key, data in objects.items() if key.startswith("night/mapped/")
    }
    here = files_in(demo.folder / "mapped")
    for files in (there, here):  # where the snapshot is, and when an edit was found
        files["summary.json"] = json.dumps({**json.loads(files["summary.json"]), "source": ""}).encode()
    assert {name: data for name, data in there.items() if ".edited-" not in name and ".kept/" not in name} == here


@pytest.mark.parametrize("number", [4, 8, 16])
def test_a_run_that_is_cut_short_is_gone_on_with_by_the_commands_that_it_is_made_of(
    bucket: Bucket, run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(mirror, "PATIENCE", 0.1)
    monkeypatch.setattr(store, "_TRIES", 1)
    out = f"{bucket.url}/night"
    bucket.faults.wants = puts_after(bucket, number)
    assert run("run", "--replay", "demo", "--out", out).exit_code == 1
    bucket.faults.wants = lambda method, path: False
    keys = bucket.objects()
    assert not ({"night/report.html", "night/report.md"} & keys.keys()) or "night/plan.json" in keys
    again = run("run", "--replay", "demo", "--out", out)
    if again.exit_code:
        assert f"continue with: chat-migrate map {out}/snapshot --out MAPPED" in again.stderr
        assert run("map", f"{out}/snapshot", "--out", f"{out}/mapped").exit_code == 0
        load = ("load", f"{out}/mapped", "--replay", "demo", "--plan-out", f"{out}/plan.json")
        assert run(*load, "--report", f"{out}/report.html").exit_code == 0
    assert {"night/report.html", "night/plan.json", "night/mapped/summary.json"} <= bucket.objects().keys()


@pytest.mark.long
def test_a_fleet_lies_in_a_store_and_is_applied_from_this_machine(
    bucket: Bucket, run: Run, environment: pytest.MonkeyPatch
) -> None:
    out = f"{bucket.url}/fleet"
    with company(environment, 2):
        assert {state for state, _ in states(run("extract", "--accounts", "--out", out, "--json"), 0).values()} == {
            "done"
        }
        assert {state for state, _ in states(run("map", out, "--accounts", "--json"), 0).values()} == {"done"}
        looked = run("load", out, "--accounts", "--json")
        assert {state for state, _ in states(looked, looked.exit_code).values()} == {"done"}
        rehearsed = run("rehearse", out, "--account", sid_of(1))
        assert rehearsed.exit_code == 0, rehearsed.output
        assert run("verify", out, "--accounts").exit_code == 0
        shown = run("show", out)
        assert out in shown.stdout
        refused = run("load", out, "--accounts", "--apply")
        assert refused.exit_code == 4
        assert "Copy the fleet's folder to this machine, and apply from there" in refused.stderr
    objects = bucket.objects()
    assert {"fleet/fleet.json", "fleet/report.html", "fleet/report.md"} <= objects.keys()
    assert sum(key.endswith("/plan.json") for key in objects) == 2
    assert not [key for key, data in objects.items() if b"chat-migrate-store" in data or "/.lease/" in key]
