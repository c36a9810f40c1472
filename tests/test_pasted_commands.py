"""A command that a message names works as it stands, whatever folders are called and whatever reports are there."""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.conftest import Run, Serve, tiny_world


@pytest.fixture(autouse=True)
def _here(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)


def commands_of(text: str) -> Iterator[list[str]]:
    for line in re.findall(r"chat-migrate (.*)", text):
        yield shlex.split(line)


def follow(run: Run, result: Result) -> Result:
    (command,) = commands_of(result.stdout.rpartition("\nNext: ")[2])
    return run(*command)


def test_a_folder_whose_name_begins_with_a_hyphen_is_named_so_that_it_is_no_option(run: Run, serve: Serve) -> None:
    serve(tiny_world())
    done = run("extract", "--out", "-a snapshot")
    mapped = follow(run, done)
    assert mapped.exit_code == 0, mapped.output
    mapped = run("map", "./-a snapshot", "--out", "-it's mapped")
    look = follow(run, mapped)
    assert look.exit_code == 0, look.output
    saved = follow(run, look)  # its own arguments, repeated
    assert (saved.exit_code, Path("plan.json").is_file()) == (0, True), saved.output


def test_a_look_that_is_to_be_repeated_replaces_the_report_it_has_just_written(run: Run) -> None:
    assert run("extract", "--out", "snapshot", "--replay", "demo").exit_code == 0
    assert run("map", "snapshot", "--out", "mapped").exit_code == 0
    blocked = run("load", "mapped", "--report", "report.html", "--replay", "demo")
    assert (blocked.exit_code, "look again" in blocked.stdout) == (0, True), blocked.output
    assert "there already" in run("load", "mapped", "--report", "report.html", "--replay", "demo").output
    for _ in range(2):  # as often as it takes
        blocked = follow(run, blocked)
        assert (blocked.exit_code, "look again" in blocked.stdout) == (0, True), blocked.output


def test_the_folder_to_carry_over_is_quoted_in_the_warning(run: Run, serve: Serve) -> None:
    serve(tiny_world())
    assert run("extract", "--out", "snapshot").exit_code == 0
    assert run("map", "snapshot", "--out", "it's reviewed").exit_code == 0
    config = Path("it's reviewed/push-config.yaml")
    config.write_text(f"{config.read_text('utf-8')}# read\n", "utf-8")
    warned = run("map", "snapshot", "--out", "mapped")
    assert f"--like {shlex.quote(str(config.parent))}" in warned.stderr


def test_what_makes_a_mapped_folder_is_a_command_whatever_the_folder_is_called(run: Run) -> None:
    Path("it's empty").mkdir()
    refused = run("load", "it's empty", "--replay", "demo")
    (command,) = commands_of(refused.stderr)
    assert command == ["map", "SNAPSHOT", "--out", "MAPPED"]  # a place for the name of a folder, and no name to quote


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_stops_the_writing_of_the_plan_leaves_no_report_and_is_said(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, stopped: BaseException
) -> None:
    def save_plan(plan: object, path: Path) -> None:
        raise stopped

    server = serve(tiny_world())
    assert run("extract", "--out", "snapshot").exit_code == 0
    assert run("map", "snapshot", "--out", "mapped").exit_code == 0
    with monkeypatch.context() as broken:
        broken.setattr("migrate.load.plan_file.save_plan", save_plan)
        ended = run("load", "mapped", "--apply", "--yes", "--report", "report.html")
    assert (ended.exit_code, Path("report.html").exists()) == (1 if isinstance(stopped, OSError) else 130, False), (
        ended.stderr
    )
    assert "No such file" not in ended.stderr
    assert ("no space left" in ended.stderr) is isinstance(stopped, OSError)
    assert server.world.writes == []
    assert run("load", "mapped", "--apply", "--yes", "--report", "report.html").exit_code == 0
