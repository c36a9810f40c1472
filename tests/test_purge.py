"""purge: what is too old is removed, and only what this program has written."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from migrate.storage.lock import hold
from migrate.verify.coverage_folder import SCRATCH, WORK
from tests.conftest import Demo, Run, service_sid


@pytest.fixture
def kept(tmp_path: Path, demo: Demo) -> Path:
    """A run of the demo, which is of 2026-06-15."""
    shutil.copytree(demo.folder, tmp_path / "data" / "first")
    return tmp_path / "data"


def test_a_dry_run_removes_nothing_and_apply_what_is_too_old(run: Run, kept: Path) -> None:
    taken = datetime(2026, 6, 15, 8, tzinfo=UTC)
    before = (datetime.now(UTC) - taken).days
    shown = run("purge", kept)
    assert (shown.exit_code, "2 folders of 2 would be removed. Nothing was removed." in shown.stdout) == (0, True)
    told = re.search(r"^remove +([\d,]+) days +[\d.]+ kB  .*first/snapshot$", shown.stdout, re.MULTILINE)
    assert told
    days = int(told[1].replace(",", ""))
    assert before <= days <= (datetime.now(UTC) - taken).days
    assert (kept / "first" / "snapshot" / "manifest.json").exists()
    young = run("purge", kept, "--older-than", days + 2, "--apply", "--yes")
    assert "0 folders of 2 removed" in young.stdout
    done = run("purge", kept, "--apply", "--yes", "--json")
    assert done.exit_code == 0
    assert {Path(item["path"]).name for item in json.loads(done.stdout)["old"]} == {"snapshot", "bindings"}
    assert sorted(path.name for path in (kept / "first").iterdir()) == [
        "mapped", "plan.json", "report.html", "report.md",
    ]  # fmt: skip
    assert sorted(path.name for path in (kept / "first" / "mapped").iterdir()) == [
        "push-config.as-mapped.yaml", "push-config.yaml", "rules.toml", "summary.json",
    ]  # fmt: skip
    assert "0 folders of 0 removed" in run("purge", kept, kept, "--apply", "--yes").stdout


@pytest.mark.parametrize("folder", ["snapshot", "mapped/bindings"])
def test_what_somebody_else_has_put_there_is_left(run: Run, kept: Path, folder: str) -> None:
    (kept / "first" / folder / "notes.txt").write_text("mine")
    shown = run("purge", kept, "--apply", "--yes")
    assert "left alone: it holds something else, too: notes.txt" in shown.stdout
    assert "1 folder of 2 removed" in shown.stdout
    assert (kept / "first" / folder / "notes.txt").exists()


@pytest.mark.parametrize("file", ["snapshot/manifest.json", "mapped/summary.json"])
def test_what_cannot_be_read_is_left_and_told(run: Run, kept: Path, file: str) -> None:
    (kept / "first" / file).write_text("{")
    shown = run("purge", kept, "--apply", "--yes")
    assert "of unknown age" in shown.stdout
    assert "cannot be read" in shown.stdout
    assert (kept / "first" / file).exists()


@pytest.mark.parametrize("content", ['{"name": "my web app"}', "[]", "{", '{"format_version": 99}'])
def test_below_somebody_elses_manifest_an_old_snapshot_is_found_and_removed(
    run: Run, kept: Path, content: str
) -> None:
    (kept / "manifest.json").write_text(content)
    (kept / "summary.json").write_text("{}")
    (kept / "bindings").mkdir()
    (kept / "bindings" / "mine").write_text("mine")
    done = run("purge", kept.parent, "--apply", "--yes")
    assert done.exit_code == 0
    assert "2 folders of 3 removed" in done.stdout
    assert "left alone: its manifest.json cannot be read, or is not a snapshot's" in done.stdout
    assert "Done" not in done.stdout
    assert not (kept / "first" / "snapshot").exists()
    assert not (kept / "first" / "mapped" / "bindings").exists()
    assert (kept / "bindings" / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "folder", ["snapshot/bindings", "snapshot/bindings/service_sid={}", "mapped/bindings/service_sid={}"]
)
@pytest.mark.parametrize(
    "name", ["notes.txt", "mine.parquet", ".hidden", "chat-apn-00001.parquet.bak", "sub/x.parquet"]
)
def test_what_is_somebody_elses_within_bindings_stays_and_is_said(
    run: Run, kept: Path, folder: str, name: str
) -> None:
    place = kept / "first" / folder.format(service_sid(1)) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    done = run("purge", kept, "--apply", "--yes")
    assert f"it holds something else, too: {place.name}" in done.stdout
    assert ("Done" in done.stdout, place.read_text()) == (False, "mine")
    assert "1 folder of 2 removed" in done.stdout


def test_a_link_within_it_is_somebody_elses(run: Run, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "letter").write_text("mine")
    part = next((kept / "first" / "snapshot").glob("bindings/*/*.parquet"))
    part.unlink()
    part.symlink_to(tmp_path / "victim" / "letter")
    (kept / "first" / "mapped" / "bindings" / "link").symlink_to(tmp_path / "victim")
    done = run("purge", kept, "--apply", "--yes")
    assert "0 folders of 2 removed" in done.stdout
    assert (tmp_path / "victim" / "letter").read_text() == "mine"


def test_what_comes_in_between_is_not_removed(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(folder: Path) -> int:
        (folder / "late.txt").write_text("mine")
        return hold(folder)

    monkeypatch.setattr("migrate.purge.hold", held)
    refused = run("purge", kept / "first" / "snapshot", "--apply", "--yes")
    assert (refused.exit_code, "late.txt" in refused.stderr) == (4, True)
    assert (kept / "first" / "snapshot" / "manifest.json").exists()


def test_an_unfinished_snapshot_is_removed_with_what_no_line_names(run: Run, kept: Path) -> None:
    snapshot = kept / "first" / "snapshot"
    manifest = json.loads((snapshot / "manifest.json").read_bytes())
    (snapshot / "manifest.json").write_text(json.dumps({**manifest, "status": "unfinished"}))
    (snapshot / "checkpoint.jsonl").write_text("")
    (snapshot / "rejected").mkdir()
    (snapshot / "rejected" / "chat-00000.jsonl").write_text("{}")
    (snapshot / ".manifest.json.0123456789abcdef.partial").write_text("{}")
    next(snapshot.glob("bindings/*")).joinpath("chat-apn-00099.parquet").write_text("cut short")
    done = run("purge", kept, "--apply", "--yes")
    assert ("2 folders of 2 removed" in done.stdout, snapshot.exists()) == (True, False), done.stdout


def test_what_a_killed_mapping_left_is_said(run: Run, kept: Path) -> None:
    part = kept / ".mapped.partial" / "bindings" / f"service_sid={service_sid(1)}" / "part-00000.parquet"
    part.parent.mkdir(parents=True)
    part.write_text("x" * 2000)
    done = run("purge", kept, "--apply", "--yes")
    assert "a mapping that was killed has left it" in done.stdout
    assert part.exists()


def test_a_folder_that_cannot_be_read_is_said(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything: so the system says no here."""
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    (kept / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    done = run("purge", kept, "--apply", "--yes")
    assert "left alone: it cannot be read: permission denied" in done.stdout
    assert "2 folders of 3 removed" in done.stdout


def test_links_are_not_followed(tmp_path: Path, run: Run, kept: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(kept)
    assert "0 folders of 0 removed" in run("purge", tmp_path / "other", "--apply", "--yes").stdout


def test_it_asks_first(run: Run, kept: Path, environment: pytest.MonkeyPatch) -> None:
    assert run("purge", kept, "--apply").exit_code == 4
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    assert CliRunner().invoke(cli, ["purge", str(kept), "--apply"], input="1\n").exit_code == 4
    assert (kept / "first" / "snapshot").exists()
    assert CliRunner().invoke(cli, ["purge", str(kept), "--apply"], input="2\n").exit_code == 0
    assert not (kept / "first" / "snapshot").exists()


def test_one_that_is_being_written_is_refused(run: Run, kept: Path) -> None:
    handle = os.open(kept / "first" / "snapshot", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    refused = run("purge", kept / "first" / "snapshot", "--apply", "--yes")
    os.close(handle)
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    assert (kept / "first" / "snapshot" / "manifest.json").exists()


def test_a_folder_is_named(run: Run, tmp_path: Path) -> None:
    assert run("purge").exit_code == 2
    assert run("purge", tmp_path / "no").exit_code == 2


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("2026-06-15T08-00-00Z.rejected.jsonl", True),
        ("2026-06-15T08-00-00Z-2.rejected.jsonl", True),
        ("2026-99-15T08-00-00Z.rejected.jsonl", False),
        ("mine.rejected.jsonl", False),
        ("rejected.jsonl", False),
        ("2026-06-15T08-00-00Z.parquet", False),
    ],
)
def test_records_that_a_verification_kept_are_removed_with_their_time(
    tmp_path: Path, run: Run, name: str, removed: bool
) -> None:
    (tmp_path / "coverage").mkdir()
    path = tmp_path / "coverage" / name
    path.write_text("{}\n")
    assert run("purge", tmp_path).exit_code == 0
    assert path.exists()
    young = (datetime.now(UTC) - datetime(2026, 6, 14, tzinfo=UTC)).days
    assert run("purge", tmp_path, "--older-than", young, "--apply", "--yes").exit_code == 0
    assert path.exists()
    done = run("purge", tmp_path, "--apply", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert path.exists() != removed
    assert [item["kind"] for item in json.loads(done.stdout)["old"]] == ["rejected"] * removed


def test_what_a_killed_verification_has_left_is_reported(run: Run, tmp_path: Path) -> None:
    """Its lists have whole endpoints, and its records that did not fit are as they came."""
    scratch = tmp_path / "coverage" / SCRATCH / WORK
    scratch.mkdir(parents=True)
    (scratch / "pending-00000.parquet").write_bytes(b"1" * 2_000)
    (partial := tmp_path / "coverage" / f".2026-06-15T08-00-00Z.rejected.jsonl.{'0' * 16}.partial").write_text("{}")
    done = run("purge", tmp_path, "--apply", "--yes", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(item["path"], item["kind"]) for item in told["old"]] == [(str(partial), "rejected")]
    assert [(item["path"], item["size"]) for item in told["kept"]] == [(str(scratch), 2_000)]
    assert not partial.exists()
    assert "a verification that was killed has left it" in run("purge", tmp_path).stdout


def test_what_a_killed_mapping_has_left_is_reported_with_all_that_it_holds(run: Run, tmp_path: Path) -> None:
    """Also what its tasks were writing, which is not in its place yet."""
    left = tmp_path / ".mapped.partial"
    for number, place in enumerate(("bindings", f".work-{'0' * 16}/{'1' * 16}")):
        (folder := left / place / f"service_sid={'IS' + '1' * 32}").mkdir(parents=True)
        (folder / f"part-0000{number}.parquet").write_bytes(b"1" * 500)
    done = run("purge", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    assert [(item["path"], item["size"]) for item in json.loads(done.stdout)["kept"]] == [(str(left), 1_000)]
