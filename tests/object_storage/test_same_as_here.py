"""A folder at a URL holds what a folder of this machine would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Demo, Run, said
from tests.object_storage.conftest import Bucket

WITH_A_CLOCK = "snapshot/manifest.json"


@pytest.fixture
def stored(bucket: Bucket, _stored_once: dict[str, bytes], run: Run) -> Bucket:
    """A bucket with the demo, as `run` leaves it in the folder `night`; after the first test, a copy of that."""
    for key, data in _stored_once.items():
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=data)
    if not _stored_once:
        done = run("run", "--replay", "demo", "--out", f"{bucket.url}/night")
        assert done.exit_code == 0, done.stderr
        _stored_once.update(bucket.objects())
    return bucket


@pytest.fixture(scope="module")
def _stored_once() -> dict[str, bytes]:
    return {}


@pytest.fixture
def here(demo: Demo, tmp_path: Path) -> Path:
    """The same on this machine."""
    return shutil.copytree(demo.folder, tmp_path / "night")


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_files_are_there_byte_by_byte_and_none_names_a_working_copy(stored: Bucket, here: Path) -> None:
    there = {key.removeprefix("night/"): data for key, data in stored.objects().items()}
    local = files_in(here)
    one, other = (json.loads(files.pop(WITH_A_CLOCK)) for files in (there, local))
    assert there == local
    assert {name: one[name] for name in ("files", "rows", "chains")} == {
        name: other[name] for name in ("files", "rows", "chains")
    }
    assert not [name for name, data in there.items() if b"chat-migrate-store" in data]


def test_every_command_that_reads_takes_a_url_and_says_the_same(stored: Bucket, here: Path, run: Run) -> None:
    for arguments in (
        ("load", "{}/mapped", "--replay", "demo"),
        ("show", "{}/snapshot"),
        ("show", "{}"),
        ("check", "{}/mapped"),
        ("explain", "{}/mapped", "BS00000000000000000000000000000001"),
        ("show", "{}/plan.json", "--json"),
        ("load", "--plan", "{}/plan.json", "--replay", "demo"),
    ):
        there, local = (
            run(*(word.format(place) for word in arguments)) for place in (f"{stored.url}/night", str(here))
        )
        assert there.exit_code == local.exit_code, there.stderr
        assert there.stdout.replace(f"{stored.url}/night", str(here)) == local.stdout
        assert said(there).replace(f"{stored.url}/night", str(here)) == said(local)


@pytest.mark.long
def test_stores_and_folders_here_can_be_mixed(stored: Bucket, here: Path, run: Run, tmp_path: Path) -> None:
    mapped = run("map", f"{stored.url}/night/snapshot", "--out", tmp_path / "mapped")
    assert mapped.exit_code == 0, mapped.stderr
    again = run("map", here / "snapshot", "--out", f"{stored.url}/mapped", "--json")
    assert again.exit_code == 0, again.stderr
    for place in (tmp_path / "mapped", f"{stored.url}/mapped"):  # both find the snapshot that they were made from
        looked = run("load", place, "--replay", "demo", "--json")
        assert looked.exit_code == 0
        assert "snapshot-unverified" not in looked.stdout
    differ = run(
        "diff", f"{stored.url}/night/snapshot", here / "snapshot", "--report", f"{stored.url}/reports/diff.html"
    )
    assert "do not differ" in differ.stdout
    assert b"<html" in stored.objects()["reports/diff.html"]
    there = run(
        "diff", f"{stored.url}/night/snapshot", here / "snapshot", "--report", f"{stored.url}/reports/diff.html"
    )
    assert there.exit_code == 4
    assert f"{stored.url}/reports/diff.html is there already" in there.stderr


def test_a_mapped_folder_is_replaced_as_a_whole_and_an_edit_is_kept(stored: Bucket, run: Run) -> None:
    key = "night/mapped/push-config.yaml"
    edited = stored.objects(key)[key] + b"# edited\n"
    stored.client.put_object(Bucket=stored.name, Key=key, Body=edited)
    out = f"{stored.url}/night/mapped"
    refused = run("map", f"{stored.url}/night/snapshot", "--out", out)
    assert refused.exit_code == 4
    assert f"{out} is not empty; its push-config.yaml has been edited" in refused.stderr
    assert stored.objects(key)[key] == edited
    assert run("map", f"{stored.url}/night/snapshot", "--out", out, "--overwrite").exit_code == 0
    assert stored.objects("night/mapped/")["night/mapped/push-config.edited-1.yaml"] == edited


def test_a_finished_snapshot_is_not_overwritten(stored: Bucket, run: Run) -> None:
    before = stored.objects()
    refused = run("extract", "--replay", "demo", "--out", f"{stored.url}/night/snapshot")
    assert refused.exit_code == 4
    assert f"{stored.url}/night/snapshot holds a finished snapshot, which is never overwritten" in refused.stderr
    assert stored.objects() == before


def test_a_journal_stays_on_this_machine(stored: Bucket, run: Run, tmp_path: Path) -> None:
    plan, mapped = f"{stored.url}/night/plan.json", f"{stored.url}/night/mapped"
    for arguments, told in (
        (("load", mapped, "--apply"), "--plan-out FILE"),
        (("load", mapped, "--apply", "--journal", tmp_path / "j"), "--plan-out FILE"),
        (("load", "--plan", plan, "--apply"), "--journal FILE"),
        (("load", "--plan", plan, "--apply", "--journal", f"{stored.url}/j.jsonl"), "--journal takes no URL"),
        (("rollback", f"{stored.url}/j.jsonl", "--apply"), "takes no URL"),
        (("retire", f"{stored.url}/night/snapshot", "--apply"), "--journal FILE"),
        (("show", mapped, "--log-file", f"{stored.url}/log"), "--log-file takes no URL"),
        (("purge", f"{stored.url}/night"), "FOLDERS takes no URL"),
    ):
        refused = run(*arguments)
        assert refused.exit_code in (2, 4), refused.stderr
        assert told in refused.stderr, refused.stderr
        assert not [key for key in stored.objects() if not key.startswith("night/")]
