"""What lies on the disk is shown again: offline, without credentials, and whole."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.model.plan import JOURNAL
from migrate.model.schemas import COVERAGE
from migrate.storage.parquet import parquet_bytes
from tests.applying import apply
from tests.conftest import DEMO_ACCOUNT, ROOT, TOKEN, Run, Serve, tiny_world
from tests.snapshots import AS_OF

FORMATS = ROOT / "tests" / "formats"
CREDENTIALS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "CHAT_MIGRATE_CHAT_URL", "CHAT_MIGRATE_CONVERSATIONS_URL")


def shown(run: Run, path: Path, code: int = 0) -> dict[str, Any]:
    """What `show --json` says."""
    result = run("show", path, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["path"] == str(path)
    return found


@pytest.fixture
def offline(run: Run, serve: Serve, environment: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A migration that was loaded and undone, without the credentials and the addresses that it was made with."""
    serve(tiny_world())
    folder = tmp_path / "m"
    assert run("run", "--out", folder).exit_code == 0
    assert apply(run, folder / "plan.json").exit_code == 0
    assert run("rollback", folder / f"plan{JOURNAL}", "--apply", "--yes").exit_code == 0
    for name in CREDENTIALS:
        environment.delenv(name, raising=False)
    return folder


def test_all_that_a_migration_leaves_can_be_shown_offline(run: Run, offline: Path) -> None:
    kinds = {
        "snapshot": "snapshot",
        "mapped": "mapped",
        "plan.json": "plan",
        f"plan{JOURNAL}": "journal",
        "plan.journal.rollback.jsonl": "journal",
        ".": "run",
    }
    for name, kind in kinds.items():
        assert shown(run, offline / name)["kind"] == kind
        assert run("show", offline / name).stdout
    contents = {Path(one["path"]).name: one["kind"] for one in shown(run, offline)["contents"]}
    assert contents == {name: kind for name, kind in kinds.items() if name != "."}


def test_a_journal_shows_each_write_and_that_it_is_done(run: Run, offline: Path) -> None:
    found, undone = (shown(run, offline / name) for name in (f"plan{JOURNAL}", "plan.journal.rollback.jsonl"))
    plan = json.loads((offline / "plan.json").read_bytes())
    assert (found["state"], found["plan_id"]) == ("finished", plan["plan_id"])
    assert undone["plan_id"] == f"rollback of {plan['plan_id']}"
    (write,) = found["writes"]
    (change,) = plan["changes"]
    assert (write["service_sid"], write["status"]) == (change["service_sid"], "applied")
    assert write["desired"] == {path: change["desired"][path] for path in change["fields"]}
    assert found["first"] <= found["last"]
    text = run("show", offline / f"plan{JOURNAL}").stdout
    assert "finished: all that was planned is done" in text
    assert change["service_sid"] in text
    assert re.search(r'new_message\.template +\(not set\) → "\$\{PARTICIPANT\}: \$\{MESSAGE\}"', text)


def test_a_plan_is_shown_as_load_shows_it(run: Run, serve: Serve, demo_world: Any, tmp_path: Path) -> None:
    serve(demo_world)
    assert run("run", "--out", tmp_path / "m").exit_code == 0
    plan = tmp_path / "m" / "plan.json"
    loaded = run("load", "--plan", plan)
    view, _, following = loaded.stdout.partition("\nNext:")
    assert (loaded.exit_code, run("show", plan).stdout.partition("\nNext:")[0]) == (0, view)
    assert "chat-migrate load --plan" in following
    as_json = json.loads(run("load", "--plan", plan, "--json").stdout)
    assert shown(run, plan) == {**as_json, "kind": "plan", "path": str(plan)}


def test_an_applied_plan_is_shown_as_applied(run: Run, offline: Path) -> None:
    assert "it was applied already" in run("show", offline / "plan.json").stdout


@pytest.mark.parametrize(("keep", "how"), [(2, "open"), (3, "unfinished")])
def test_a_journal_that_was_cut_says_how_far_it_went(run: Run, offline: Path, keep: int, how: str) -> None:
    journal = offline / f"plan{JOURNAL}"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:keep]))
    assert shown(run, journal)["state"] == how
    assert "resumes" in run("show", journal).stdout


def test_the_journal_of_a_credential_shows_no_secret_and_a_retirement_shows_numbers(run: Run, tmp_path: Path) -> None:
    load = tmp_path / "load.journal.jsonl"
    load.write_text((FORMATS / "load.journal.jsonl").read_text("utf-8"), "utf-8")
    lines = load.read_text("utf-8").splitlines()
    seen = {
        "intent": 1, "kind": "credential", "friendly_name": "firebase", "type": "fcm", "before": None, "seen": [],
    }  # fmt: skip
    load.write_text("\n".join([*lines[:3], json.dumps(seen), ""]), "utf-8")
    assert shown(run, load)["writes"][1]["status"] is None
    assert "a new fcm credential  firebase" in run("show", load).stdout
    retire = Path(shutil.copy(FORMATS / "retire.jsonl", tmp_path / "r.jsonl"))
    found = shown(run, retire)
    assert (found["kind"], found["deleted"], len(found["open"])) == ("retire-journal", 1, 1)
    with retire.open("a") as file:
        file.write('{"intent": "BS11111111111111111111111111111111"}\n')
    assert shown(run, retire)["open"][0] == "BS" + "1" * 32
    assert "a delete whose end was not seen: BS1" in run("show", retire).stdout
    retire.write_text(retire.read_text("utf-8") + "{}\n")
    assert (run("show", retire).exit_code, run("show", retire).stderr.count("\n")) == (1, 1)


def test_an_unfinished_snapshot_says_how_far_it_is(run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FORMATS / "unfinished", tmp_path / "u"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = shown(run, folder)
    rows = sum(one["bindings"] for one in found["services"])
    lines = [json.loads(line) for line in (folder / "checkpoint.jsonl").read_text("utf-8").splitlines()]
    assert (found["status"], found["account_sid"]) == ("unfinished", manifest["account_sid"])
    assert rows == sum(line["part"]["rows"] for line in lines if line["part"]) > 0
    assert found["begun"]["done"] < found["begun"]["chains"]
    assert f"{rows:,} so far" in run("show", folder).stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with (folder / "checkpoint.jsonl").open("a") as file:
        file.write(json.dumps({"chain": lines[0]["chain"], "service_sid": lines[0]["service_sid"], "restart": True}))
        file.write("\n")
    assert sum(one["bindings"] for one in shown(run, folder)["services"]) < rows
    with (folder / "checkpoint.jsonl").open("a") as file:
        file.write("{}\n")
    refused = run("show", folder)
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    (folder / "checkpoint.jsonl").unlink()
    (folder / "services.parquet").unlink()
    assert shown(run, folder)["services"] == []


def test_a_damaged_snapshot_is_shown_and_said_to_be_damaged(run: Run, tmp_path: Path, migration: Path) -> None:
    folder = Path(shutil.copytree(migration / "snapshot", tmp_path / "s"))
    whole = shown(run, folder)
    assert (whole["damage"], sum(one["bindings"] for one in whole["services"])) == (None, whole["rows"])
    (folder / "services.parquet").write_bytes(b"PAR1")
    found = shown(run, folder, code=4)
    assert "services.parquet is not what was written" in found["damage"]
    assert found["rows"] == whole["rows"]
    result = run("show", folder)
    assert "Damaged: " in result.stdout
    assert result.stderr.count("\n") == 1


def test_a_mapped_folder_is_shown_as_it_stands_now(run: Run, tmp_path: Path, migration: Path) -> None:
    folder = Path(shutil.copytree(migration / "mapped", tmp_path / "mapped"))
    before = shown(run, folder)
    assert before["edited"] == []
    config = folder / "push-config.yaml"
    text = config.read_text("utf-8")
    decided = "".join(
        line.replace("# ", "", 1) if "# proposed:" in line and line.lstrip().startswith("# ") else line
        for line in text.splitlines(keepends=True)
    )
    assert decided != text
    config.write_text(decided, "utf-8")
    after = shown(run, folder)
    assert (after["edited"], after["proposals"]) == (["push-config.yaml"], [])
    assert before["proposals"]
    assert {one["code"] for one in before["findings"]} - {one["code"] for one in after["findings"]} == {
        "push-inferred"
    }
    text = run("show", folder).stdout
    assert "since it was mapped: push-config.yaml" in text
    assert ".enabled  (not stated) → true" in text
    assert {one["after"] for one in after["edits"]} == {True}
    (folder / "push-config.as-mapped.yaml").unlink()
    assert shown(run, folder)["edits"] is None


def test_coverage_shows_every_run_and_the_latest_by_platform(run: Run, tmp_path: Path, migration: Path) -> None:
    snapshot, coverage = migration / "snapshot", tmp_path / "c"
    for _ in range(2):
        run("verify", snapshot, "--against", snapshot, "--coverage", coverage)
    found = shown(run, coverage)
    assert [one["total"]["bindings"] for one in found["runs"]] == [328, 328]
    text = run("show", coverage).stdout
    assert "2 runs" in text
    assert "apn" in text
    (first, _) = sorted(coverage.glob("*.parquet"))
    assert len(shown(run, first)["runs"]) == 1
    first.write_bytes(b"PAR1 nothing")
    assert (run("show", first).exit_code, run("show", coverage).stderr.count("\n")) == (1, 1)


def test_coverage_without_rows_has_no_run_and_rejected_records_are_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c" / "2026-06-15T08-00-00Z.parquet"
    file.parent.mkdir()
    row = dict.fromkeys(COVERAGE.names, 0) | {"as_of": AS_OF, "service_sid": "IS" + "1" * 32, "snapshot": "sha256:1"}
    for rows in ([], [{**row, "platform": None, "rejected": 3}]):
        file.write_bytes(parquet_bytes(pa.Table.from_pylist(rows, schema=COVERAGE)))
        assert len(shown(run, file.parent)["runs"]) == len(rows)
        text = run("show", file.parent).stdout
        assert ("3 live records that do not fit" in text) == bool(rows)


@pytest.mark.parametrize(
    "name", ["cassettes/demo.yaml", "migrate/standin/demo.yaml", "tests/formats/documents/mapped/summary.json"]
)
def test_what_is_not_shown_says_what_it_is(run: Run, name: str) -> None:
    result = run("show", ROOT / name)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "which is not shown. Use it with: chat-migrate " in result.stderr


def test_nothing_that_is_shown_has_an_identity_or_a_secret(run: Run, migration: Path) -> None:
    import pyarrow.dataset as dataset

    identities = dataset.dataset(migration / "snapshot" / "bindings", partitioning="hive").to_table(["identity"])
    people = {one for one in identities.column(0).to_pylist() if one and len(one) > 6}
    for name in ("snapshot", "mapped", "plan.json"):
        text = run("show", migration / name).stdout + run("show", migration / name, "--json").stdout
        assert TOKEN not in text
        assert DEMO_ACCOUNT in text
        assert not {one for one in people if one in text}
