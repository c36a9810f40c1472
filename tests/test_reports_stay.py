"""Reports that are there stay as they are: a command says so before it does anything, unless told to replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest

from migrate.cli.app import cli
from migrate.cli.paths import OutFile
from tests.conftest import CASSETTE, Demo, Run, Serve, tiny_world

SIGNED = "signed by hand"
Arguments = Callable[[Demo, Path], Sequence[object]]
CASES: dict[str, tuple[str, Arguments]] = {
    "load-html": (
        "r.html",
        lambda demo, path: ("load", demo.folder / "mapped", "--replay", CASSETTE, "--report", path),
    ),
    "load-md": ("r.md", lambda demo, path: ("load", demo.folder / "mapped", "--replay", CASSETTE, "--report", path)),
    "load-json": (
        "r.json",
        lambda demo, path: ("load", demo.folder / "mapped", "--replay", CASSETTE, "--report", path),
    ),
    "map-csv": (
        "devices.csv",
        lambda demo, path: ("map", demo.folder / "snapshot", "--out", path.parent / "m", "--csv", path),
    ),
    "run": ("report.md", lambda demo, path: ("run", "--replay", CASSETTE, "--out", path.parent)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CASES.values(), ids=CASES)
def test_a_report_that_is_there_is_refused_before_the_work_and_replaced_when_asked(
    tmp_path: Path, run: Run, demo: Demo, name: str, arguments: Arguments
) -> None:
    path = tmp_path / name
    path.write_text(SIGNED)
    refused = run(*arguments(demo, path))
    assert refused.exit_code == 4
    assert f"{path} is there already, and not overwritten. Nothing was done." in refused.stderr
    assert "--overwrite" in refused.stderr
    assert path.read_text() == SIGNED
    assert [item.name for item in tmp_path.iterdir()] == [name], "something was done all the same"
    assert run(*arguments(demo, path), "--overwrite").exit_code == 0
    assert SIGNED.encode() not in path.read_bytes()


def test_a_rehearsal_of_minutes_says_it_before_it_starts(tmp_path: Path, run: Run, demo: Demo) -> None:
    path = tmp_path / "rehearsal.md"
    path.write_text(SIGNED)
    places = (demo.folder / "mapped", "--snapshot", demo.folder / "snapshot")
    assert run("rehearse", *places, "--report", path).exit_code == 4
    assert path.read_text() == SIGNED


def test_all_that_are_there_are_named_in_one_line(tmp_path: Path, run: Run, demo: Demo) -> None:
    paths = [tmp_path / name for name in ("a.md", "b.html", "c.md")]
    for path in paths[:2]:
        path.write_text(SIGNED)
    options = [word for path in paths for word in ("--report", path)]
    refused = run("load", demo.folder / "mapped", "--replay", CASSETTE, *options)
    assert refused.exit_code == 4
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("Error")]
    assert f"{paths[0]}, {paths[1]} are there already" in line
    assert not paths[2].exists()


def test_the_list_of_who_is_pending_is_of_today(tmp_path: Path, run: Run, demo: Demo) -> None:
    """It is made every day of a migration, by the same command, and needs no signature."""
    path, snapshot = tmp_path / "pending.csv", demo.folder / "snapshot"
    path.write_text("of yesterday")
    words = ("--against", snapshot, "--coverage", tmp_path / "c", "--pending", path)
    assert run("verify", snapshot, *words).exit_code == 0
    assert "of yesterday" not in path.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_command_with_a_report_can_be_told_to_replace_it(name: str) -> None:
    params = cli.commands[name].params
    reports = [one for one in params if isinstance(one.type, OutFile) and one.type.stays]
    flags = {option for one in params if isinstance(one, click.Option) for option in one.opts}
    assert not reports or "--overwrite" in flags
    assert all(one.type.stays for one in params if one.name in ("reports", "csv"))  # type: ignore[attr-defined]


def test_an_apply_that_was_not_confirmed_leaves_no_report_in_the_way_of_the_same_command(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    assert run("run", "--out", tmp_path / "m").exit_code == 0
    command = ("load", tmp_path / "m" / "mapped", "--apply", "--report", tmp_path / "applied.html")
    refused = run(*command)  # there is no terminal to ask on
    assert refused.exit_code == 4
    assert not (tmp_path / "applied.html").exists()
    assert run(*command, "--yes").exit_code == 0
    assert "what is to be applied" in (tmp_path / "applied.html").read_text("utf-8")
