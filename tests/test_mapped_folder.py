"""The mapped folder: whole or not there, and never over what a person has written."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from migrate.map import mapping as run_module
from migrate.map import sharing
from migrate.map.mapped_writer import MappedWriter
from tests.conftest import Demo, Run

CONFIG = "push-config.yaml"


@pytest.fixture
def mapped(tmp_path: Path, demo: Demo) -> Path:
    """A mapped folder of its own."""
    return Path(shutil.copytree(demo.folder / "mapped", tmp_path / "mapped"))


def edit(folder: Path, text: str) -> str:
    path = folder / CONFIG
    path.write_text(path.read_text("utf-8") + f"# {text}\n", "utf-8")
    return path.read_text("utf-8")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_mapped_folder_is_not_touched_without_being_asked(run: Run, demo: Demo, mapped: Path) -> None:
    mine = edit(mapped, "mine")
    result = run("map", demo.folder / "snapshot", "--out", mapped)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (4, "", 1)
    assert "its push-config.yaml has been edited" in result.stderr
    assert "--overwrite" in result.stderr
    assert (mapped / CONFIG).read_text("utf-8") == mine


def test_what_was_edited_is_kept_under_a_second_name_and_every_time_anew(run: Run, demo: Demo, mapped: Path) -> None:
    as_mapped = (mapped / CONFIG).read_text("utf-8")
    command = ("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    first = edit(mapped, "first")
    assert "push-config.edited-1.yaml" in run(*command).stdout
    second = edit(mapped, "second")
    assert "push-config.edited-2.yaml" in run(*command).stdout
    assert (mapped / CONFIG).read_text("utf-8") == as_mapped
    assert (mapped / "push-config.edited-1.yaml").read_text("utf-8") == first
    assert (mapped / "push-config.edited-2.yaml").read_text("utf-8") == second
    # It was not edited since: there is no third copy, and the others stay.
    before = names(mapped)
    assert run(*command).exit_code == 0
    assert names(mapped) == before


def test_what_was_not_edited_leaves_no_copy(run: Run, demo: Demo, mapped: Path) -> None:
    before = names(mapped)
    result = run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    assert (result.exit_code, names(mapped)) == (0, before)
    assert "Edited" not in result.stdout
    assert names(mapped.parent) == {"mapped"}


@pytest.mark.parametrize("damage", ["gone", "torn", "no digest"])
def test_where_it_cannot_be_told_it_counts_as_edited(run: Run, demo: Demo, mapped: Path, damage: str) -> None:
    summary = mapped / "summary.json"
    if damage == "no digest":
        summary.write_text(summary.read_text("utf-8").replace('"written"', '"other"'))
    elif damage == "torn":
        summary.write_text("{")
    else:
        summary.unlink()
    result = run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    if damage == "gone":  # then it is no mapped folder
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    else:
        assert result.exit_code == 0
        assert (mapped / "push-config.edited-1.yaml").exists()


def test_nothing_else_that_lies_there_is_lost(run: Run, demo: Demo, mapped: Path) -> None:
    (mapped / "notes.md").write_text("mine")
    result = run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "notes.md" in result.stderr
    assert (mapped / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_is_none_of_ours_is_never_replaced(
    tmp_path: Path, run: Run, demo: Demo, overwrite: bool
) -> None:
    folder, file = tmp_path / "documents", tmp_path / "file"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    file.write_text("x")
    options = ["--overwrite"] if overwrite else []
    result = run("map", demo.folder / "snapshot", "--out", folder, *options)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert (folder / "letter.txt").read_text() == "dear"
    assert run("map", demo.folder / "snapshot", "--out", file, *options).exit_code == 2
    assert file.read_text() == "x"


def test_a_mapping_that_fails_leaves_the_former_one(tmp_path: Path, run: Run, mapped: Path) -> None:
    before = {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()}
    assert run("map", tmp_path / "absent", "--out", mapped, "--overwrite").exit_code == 1
    assert {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()} == before
    assert names(tmp_path) == {"mapped"}


def test_one_that_was_killed_between_its_two_renames_is_mended(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path
) -> None:
    mine = edit(mapped, "mine")
    mapped.replace(tmp_path / ".mapped.former")  # as after the first of the two
    result = run("map", demo.folder / "snapshot", "--out", mapped)
    assert result.exit_code == 4
    assert (mapped / CONFIG).read_text("utf-8") == mine
    shutil.copytree(mapped, tmp_path / ".mapped.former")  # as after the second
    assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 0
    assert (mapped / "push-config.edited-1.yaml").read_text("utf-8") == mine
    assert names(tmp_path) == {"mapped"}


def test_two_cannot_map_into_one_folder_at_once(tmp_path: Path, run: Run, demo: Demo) -> None:
    with MappedWriter(tmp_path / "m") as writer:
        (writer.scratch / CONFIG).write_text("half done")
        result = run("map", demo.folder / "snapshot", "--out", tmp_path / "m")
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert f"Another process is writing {tmp_path / 'm'}" in result.stderr
        assert (writer.scratch / CONFIG).exists()
    assert names(tmp_path) == set()
    assert run("map", demo.folder / "snapshot", "--out", tmp_path / "m").exit_code == 0


@pytest.mark.parametrize("rename", [1, 2])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_dying_at_any_rename_loses_nothing_that_was_written(
    run: Run, demo: Demo, mapped: Path, rename: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = edit(mapped, "mine")
    replace, renamed = Path.replace, 0

    def dying(path: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += path.is_dir()
        dies = path.is_dir() and renamed == rename
        if dies and moment == "before":
            raise KeyboardInterrupt
        found = replace(path, target)
        if dies:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Path, "replace", dying)
    assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 130
    monkeypatch.undo()
    assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 0
    assert (mapped / "push-config.edited-1.yaml").read_text("utf-8") == mine
    assert not (mapped / "push-config.edited-2.yaml").exists()
    assert names(mapped.parent) == {"mapped"}


def test_only_its_owner_can_look_into_it(mapped: Path, run: Run, demo: Demo) -> None:
    edit(mapped, "mine")
    before = os.umask(0)
    try:
        assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 0
    finally:
        os.umask(before)
    for path in (mapped, *mapped.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_edited_rules_are_kept_as_well(run: Run, demo: Demo, mapped: Path) -> None:
    text = (mapped / "rules.toml").read_text("utf-8") + "# MY NOTE\n"
    (mapped / "rules.toml").write_text(text, "utf-8")
    refused = run("map", demo.folder / "snapshot", "--out", mapped)
    assert "its rules.toml has been edited" in refused.stderr
    assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 0
    assert (mapped / "rules.edited-1.toml").read_text("utf-8") == text
    assert "MY NOTE" not in (mapped / "rules.toml").read_text("utf-8")


@pytest.mark.parametrize("meanwhile", ["another mapping", "notes"])
def test_what_comes_into_the_folder_meanwhile_is_not_lost(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = MappedWriter.finish, tmp_path / "out"
    if meanwhile == "notes":
        shutil.copytree(mapped, out)

    def finish(*arguments: object) -> None:
        if meanwhile == "another mapping":
            shutil.copytree(mapped, out)
        (out / "notes.txt").write_text("mine")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(MappedWriter, "finish", finish)
    options = ["--overwrite"] if meanwhile == "notes" else []
    result = run("map", demo.folder / "snapshot", "--out", out, *options)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert (out / "notes.txt").read_text() == "mine"


def test_edits_in_what_was_left_by_one_that_was_killed_are_not_deleted(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path
) -> None:
    mine = edit(mapped, "mine")
    mapped.replace(tmp_path / ".mapped.former")
    shutil.copytree(demo.folder / "mapped", mapped)  # put back from a copy
    result = run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert ".mapped.former" in result.stderr
    assert (tmp_path / ".mapped.former" / CONFIG).read_text("utf-8") == mine


def test_an_edited_file_that_was_being_kept_by_one_that_was_killed_is_in_nobodys_way(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path
) -> None:
    mine, left = edit(mapped, "mine"), tmp_path / ".mapped.partial"
    (left / "bindings").mkdir(mode=0o700, parents=True)
    left.chmod(0o700)
    (left / ".push-config.edited-1.yaml.0123456789abcdef.partial").write_text(mine[:9], "utf-8")
    assert run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite").exit_code == 0
    assert (mapped / "push-config.edited-1.yaml").read_text("utf-8") == mine
    assert not left.exists()


@pytest.mark.parametrize("name", [".mapped.partial", ".mapped.former"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_in_the_way_is_named_and_left(tmp_path: Path, run: Run, demo: Demo, name: str, kind: str) -> None:
    place = tmp_path / name
    if kind == "folder":
        place.mkdir()
        (place / "letter.txt").write_text("dear")
    else:
        place.write_text("dear")
    result = run("map", demo.folder / "snapshot", "--out", tmp_path / "mapped")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert str(place) in result.stderr
    assert place.exists()


def test_the_root_and_mount_points_are_refused_before_anything_is_done(run: Run, demo: Demo) -> None:
    for place in ("/", "/proc"):
        result = run("map", demo.folder / "snapshot", "--out", place)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("where", "kind", "words", "code"),
    [
        (run_module, KeyboardInterrupt, (), 130),
        (run_module, OSError, (28, "No space left on device"), 1),
        (sharing, duckdb.OutOfMemoryException, ("Out of Memory Error: it is full",), 1),
        (sharing, RuntimeError, ("Query interrupted",), 130),
    ],
    ids=["ctrl-c", "full disk", "full memory", "ctrl-c in a query"],
)
def test_whatever_stops_it_nothing_is_changed_and_the_line_says_so(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path, monkeypatch: pytest.MonkeyPatch,
    where: ModuleType, kind: type[BaseException], words: tuple[object, ...], code: int,
) -> None:  # fmt: skip
    before = {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()}

    def failing(*_: object, **__: object) -> None:
        raise kind(*words)

    for name in ("_flagged", "_crowded") if where is sharing else ("service_config",):  # together, and one by one
        monkeypatch.setattr(where, name, failing)
    result = run("map", demo.folder / "snapshot", "--out", mapped, "--overwrite")
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert "Unexpected" not in result.stderr
    assert {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()} == before
    assert names(tmp_path) == {"mapped"}


@pytest.mark.parametrize("gone", [(), ("summary.json",)])
def test_one_that_is_interrupted_when_the_former_is_removed_is_whole_and_says_so(
    tmp_path: Path, run: Run, demo: Demo, mapped: Path, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...]
) -> None:
    """Where the new one differs, too: of the former one only what was edited must not be lost."""
    rules = tmp_path / "other.toml"
    rules.write_text("[limits]\nbindings_per_identity = 3\n")
    words = ["map", demo.folder / "snapshot", "--out", mapped, "--overwrite", "--rules", rules]

    def dying(folder: Path | str, **options: Any) -> None:
        if Path(folder).name == ".mapped.former":
            for name in gone:
                Path(folder, name).unlink()
            raise KeyboardInterrupt
        real(folder, **options)

    real = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr("migrate.map.mapped_writer.shutil.rmtree", dying)
        done = run(*words)
    assert done.exit_code == 130, done.output
    assert f"{mapped} is mapped" in done.stderr
    assert "Nothing was changed" not in done.stderr
    assert "bindings_per_identity = 3" in (mapped / "rules.toml").read_text("utf-8")
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert not (tmp_path / ".mapped.former").exists()
