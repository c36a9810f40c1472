"""Paths by type: no parameter that names a file or a folder goes without the guard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from migrate.cli.app import cli
from migrate.cli.options import BindingSid, ServiceSid
from migrate.cli.paths import InFile, InFolder, OutFile, OutFolder, PathType
from tests.conftest import CASSETTE, Run

PLACES = {"FILE", "DIR", "FOLDER", "PATH", "CASSETTE", "SNAPSHOT", "MAPPED", "JOURNAL", "PLAN"}  # as help calls them


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield from ((name, param) for param in command.params)


def names_a_place(param: click.Parameter) -> bool:
    """Whether a parameter is a path by its type, by what help calls it, or by its name."""
    if isinstance(param.type, click.Path | click.File):
        return True
    words = {*(param.name or "").split("_"), *(option.lstrip("-") for option in param.opts)}
    is_text = not isinstance(param.type, click.Choice | click.types.BoolParamType | click.types.IntParamType)
    return is_text and bool(
        (param.metavar or "").upper() in PLACES or words & {"file", "folder", "path", "dir", "out"}
    )


def test_every_parameter_that_names_a_place_has_a_type_that_the_guard_knows() -> None:
    unguarded = [f"{name} {param.opts[0]}" for name, param in parameters() if names_a_place(param)
                 and not isinstance(param.type, InFile | InFolder | OutFile | OutFolder)]  # fmt: skip
    assert unguarded == []


@pytest.mark.parametrize(
    "kind",
    [click.Path(), click.Path(path_type=Path), click.File("w"), click.STRING],
    ids=["path", "as a Path", "file", "text"],
)
def test_one_that_is_declared_otherwise_is_found(kind: click.ParamType) -> None:  # type: ignore[type-arg]
    assert names_a_place(click.Option(["--dump"], type=kind, metavar="FILE"))
    assert not isinstance(kind, PathType)


def test_what_a_command_takes_for_a_path_is_given_as_one() -> None:
    """A parameter whose function wants a `Path` is no text that is turned into one out of the guard's sight."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.callback is not None
        function = command.callback
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        types = {param.name: param.type for param in command.params}
        for argument, wanted in getattr(function, "__annotations__", {}).items():
            if "Path" in str(wanted) and argument in types:
                assert isinstance(types[argument], PathType), f"{name} {argument}"


def sid_for(param: click.Parameter) -> str:
    """A SID of the kind that a parameter takes."""
    return ("IS" if isinstance(param.type, ServiceSid) else "BS") + "1" * 32


OUT = [(name, param) for name, param in parameters() if isinstance(param.type, OutFile | OutFolder)]


@pytest.mark.parametrize(("name", "param"), OUT, ids=[f"{name}-{param.name}" for name, param in OUT])
def test_nothing_is_written_into_a_snapshot_whatever_the_option(
    tmp_path: Path, run: Run, migration: Path, name: str, param: click.Parameter
) -> None:
    place = migration / "snapshot" / "inner" / f"x{next(iter(getattr(param.type, 'formats', ())), '')}"
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    words: list[object] = [param.opts[0], place]
    for other in command.params:
        if other is not param and (other.required or isinstance(other, click.Argument)):
            value: object = CASSETTE if isinstance(other.type, InFile) else tmp_path / "x"
            if isinstance(other.type, BindingSid | ServiceSid):
                value = sid_for(other)
            if isinstance(other.type, click.Path) and other.type.exists:
                value = CASSETTE if other.type.file_okay else tmp_path
            words += [value] if isinstance(other, click.Argument) else [other.opts[0], value]
    refused = run(name, *words)
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1), refused.output
    assert "is a snapshot or a mapped folder: nothing else is written into it" in refused.stderr
    assert not place.parent.exists()


def test_a_snapshot_that_is_the_root_or_a_link_to_itself_is_one_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for place in ("/", tmp_path / "circle"):
        refused = run("map", place, "--out", tmp_path / "m")
        assert (refused.exit_code in (1, 2), refused.stderr.count("Error: ")) == (True, 1), refused.output
        assert "mistake in this program" not in refused.stderr


IN = [(name, param) for name, param in parameters() if isinstance(param.type, InFile) and param.name != "replay"]


@pytest.mark.parametrize(("name", "param"), IN, ids=[f"{name}-{param.name}" for name, param in IN])
def test_the_log_is_not_written_over_a_file_that_is_read(
    tmp_path: Path, run: Run, name: str, param: click.Parameter
) -> None:
    file = tmp_path / "file"
    file.write_text("# mine\n")
    words: list[object] = [file] if isinstance(param, click.Argument) else [param.opts[0], file]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for other in command.params:
        if other is not param and other.required:
            value = sid_for(other) if isinstance(other.type, ServiceSid) else tmp_path / "x"
            words += [value] if isinstance(other, click.Argument) else [other.opts[0], value]
    refused = run(name, *words, "--log-file", file)
    assert (refused.exit_code, "One file is named twice" in refused.stderr) == (2, True), refused.output
    assert file.read_text() == "# mine\n"
