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

from migrate.cli import cli
from tests.conftest import Demo, Run


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
        "push-config.yaml", "rules.toml", "summary.json",
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


def test_links_are_not_followed(tmp_path: Path, run: Run, kept: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(kept)
    assert "0 folders of 0 removed" in run("purge", tmp_path / "other", "--apply", "--yes").stdout


def test_it_asks_first(run: Run, kept: Path, environment: pytest.MonkeyPatch) -> None:
    assert run("purge", kept, "--apply").exit_code == 4
    environment.setattr("migrate.commands.applying._is_terminal", lambda: True)
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
