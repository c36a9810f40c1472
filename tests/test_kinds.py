"""What is of the wrong kind, given to any command, is named, with the command that takes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from migrate.cli.options import BindingSid, FormatFile, Identity, ServiceSid
from migrate.cli.paths import OutFile, OutFolder, PathType
from migrate.inspect.kinds import FLEET, NAMES, Kind, recognise
from migrate.map.mapped_folder import BINDINGS, CONFIG, SUMMARY
from migrate.model.schemas import PUSH_ERRORS_BY_HOUR
from migrate.push_errors.health_folder import Measured, write_measured
from migrate.snapshot.manifest import NAME
from migrate.standin.world import DEMO_WORLD
from tests.conftest import CASSETTE, ROOT, Run, said

FORMATS = ROOT / "tests" / "formats"
TAKE_ALL = {("purge", "folders"), ("show", "path"), ("why", "pending")}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, migration: Path) -> dict[str, Path]:
    """Something of each kind, by its name."""
    folder = tmp_path_factory.mktemp("kinds")
    run = Path(shutil.copytree(migration, folder / "run"))
    command = ["verify", str(run / "snapshot"), "--against", str(run / "snapshot"), "--coverage", str(folder / "c")]
    assert CliRunner().invoke(cli, command).exit_code in (0, 4)
    shutil.copy(run / "mapped" / CONFIG, folder / "config.yaml")
    (folder / "rules.toml").write_text('[message_types]\ninvited_to_channel = "added_to_conversation"\n')
    for name in ("load.journal.jsonl", "retire.jsonl"):
        shutil.copy(FORMATS / name, folder / name)
    for name, place in (("cassette.yaml", CASSETTE), ("world.yaml", DEMO_WORLD)):
        shutil.copy(place, folder / name)
    return {
        "snapshot": run / "snapshot",
        "mapped": run / "mapped",
        "coverage": folder / "c",
        "health": _health(folder / "health"),
        "run": run,
        "plan": run / "plan.json",
        "journal": folder / "load.journal.jsonl",
        "retire-journal": folder / "retire.jsonl",
        "cassette": folder / "cassette.yaml",
        "rules": folder / "rules.toml",
        "config": folder / "config.yaml",
        "world": folder / "world.yaml",
        "fleet": _fleet(folder / "fleet"),
        "part": run / "snapshot" / NAME,
    }


def _health(folder: Path) -> Path:
    measured = Measured("AC" + "1" * 32, "2026-06-14T00:00:00+00:00", "2026-06-15T00:00:00+00:00", {}, None)
    write_measured(folder, measured, PUSH_ERRORS_BY_HOUR.empty_table())
    return folder


def _fleet(folder: Path) -> Path:
    folder.mkdir()
    (folder / FLEET).write_text('{"format_version": 1, "main_account_sid": null, "accounts": {}}')
    return folder


def test_there_is_something_of_each_kind_and_it_is_recognised(kinds: Mapping[str, Path]) -> None:
    assert set(kinds) == set(get_args(Kind)) == set(NAMES)
    assert {kind for kind, path in kinds.items() if path.is_dir()} == set(FOLDERS)
    for kind, path in kinds.items():
        found = recognise(path)
        assert (found.kind if found else None) == kind


def places() -> Iterator[tuple[str, click.Parameter, PathType]]:
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield from ((name, param, param.type) for param in command.params if isinstance(param.type, PathType))


PLACES = list(places())
FOLDERS = ("snapshot", "mapped", "coverage", "health", "run", "fleet")


def pairs() -> Iterator[tuple[str, click.Parameter, Kind]]:
    """Of each place a file and a folder that are wrong there, and of each type of place every kind.

    All pairs would be three times as many, and show no more: the type of a place decides on a kind.
    """
    seen = set[object]()
    for number, (name, param, place) in enumerate(PLACES):
        kinds = [*NAMES]
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            # What is within a snapshot is refused by another guard, and a report's ending is looked at first.
            is_other_guard = kind == "part" and isinstance(place, OutFile | OutFolder)
            if place.takes_all or kind in place.takes or is_other_guard or isinstance(place, FormatFile):
                continue
            shows = {(name, param.name, kind in FOLDERS), (type(place), kind)}
            if not shows <= seen:
                seen |= shows
                yield name, param, kind


PAIRS = [*pairs()]


def test_no_place_takes_all_kinds_but_those_that_are_meant_to() -> None:
    assert {(name, param.name) for name, param, place in PLACES if place.takes_all} <= TAKE_ALL
    for name, param, place in PLACES:
        is_named = isinstance(place, OutFile) or bool(getattr(place, "called", ""))
        assert place.takes_all or place.takes or is_named, f"{name} {param.name} does not say what it takes"


def call(name: str, param: click.Parameter, path: Path, kinds: Mapping[str, Path], tmp_path: Path) -> list[object]:
    """A call of a command with a path for one parameter, and something fit for all others that it needs."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    words: list[object] = [name]
    for other in command.params:
        value: object = path if other is param else None
        if other is not param and other.required:
            if isinstance(other.type, PathType):
                takes = ("fleet",) if param.name == "accounts_file" else other.type.takes
                is_in = other.type.takes_all or (takes and not isinstance(other.type, OutFolder))
                value = kinds[(*takes, "snapshot")[0]] if is_in else tmp_path / "out"
                if value == path and path.is_file():  # one that is given twice is another mistake
                    value = shutil.copy(path, tmp_path / path.name)
            elif isinstance(other.type, BindingSid | ServiceSid):
                value = ("BS" if isinstance(other.type, BindingSid) else "IS") + "1" * 32
            elif isinstance(other.type, Identity):
                value = "somebody"
        if value is not None:
            words += [value] if isinstance(other, click.Argument) else [other.opts[0], value]
    return words


@pytest.mark.parametrize(("name", "param", "kind"), PAIRS, ids=[f"{a}-{b.name}-{c}" for a, b, c in PAIRS])
def test_a_wrong_kind_is_named_whatever_the_command(
    tmp_path: Path, run: Run, kinds: Mapping[str, Path], name: str, param: click.Parameter, kind: str
) -> None:
    path = kinds[kind]
    result = run(*call(name, param, path, kinds, tmp_path))
    is_out = isinstance(param.type, OutFile | OutFolder)
    assert result.exit_code == (4 if is_out else 2), result.output
    assert result.stdout == ""
    (line,) = said(result).splitlines()
    article = "a part of a snapshot" if kind == "part" else NAMES[kind]  # type: ignore[index]
    assert line.startswith(f"Error: {path} is {article}"), line
    assert ", not " in line or "nothing is written there" in line
    if not is_out:
        assert ("chat-migrate " in line) or str(path) in line.partition(", not ")[2]


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("mapped", "chat-migrate load {}"),
        ("snapshot", "chat-migrate map {} --out MAPPED"),
        ("plan", "chat-migrate load --plan {}"),
        ("journal", "chat-migrate rollback {}"),
        ("retire-journal", "chat-migrate show {}"),
        ("rules", "chat-migrate map SNAPSHOT --out MAPPED --rules {}"),
        ("world", "chat-migrate standin --world {}"),
        ("cassette", "chat-migrate doctor --replay {}"),
        ("coverage", "chat-migrate verify SNAPSHOT --coverage {}"),
    ],
)
def test_the_command_that_takes_it_is_the_right_one(
    run: Run, kinds: Mapping[str, Path], kind: str, command: str
) -> None:
    wrong = "check" if kinds[kind].is_dir() and kind != "mapped" else "verify" if kind == "mapped" else "rollback"
    options = ("load", "--plan") if kind == "journal" else (wrong,)
    assert f"Use it with: {command.format(kinds[kind])}" in run(*options, kinds[kind]).stderr


def test_an_unfinished_snapshot_is_to_be_extracted(tmp_path: Path, run: Run) -> None:
    unfinished = shutil.copytree(FORMATS / "unfinished", tmp_path / "u")
    result = run("load", unfinished)
    assert result.exit_code == 2
    assert (
        f"is a snapshot, not a mapped folder. Use it with: chat-migrate extract --out {unfinished}" in result.stderr
    )


def test_a_part_leads_to_its_whole(run: Run, kinds: Mapping[str, Path]) -> None:
    mapped = kinds["mapped"]
    for part in (mapped / CONFIG, mapped / SUMMARY, mapped / BINDINGS):
        line = run("check", part).stderr
        assert "is a part of a mapped folder, not a mapped folder" in line
        assert f"chat-migrate load {mapped}" in line


@pytest.mark.parametrize(
    "content",
    ["", "{", "{}", "[]", "\x00\x01", '{"plan_id": 1}', "services: {}", "# nothing", '{"a": ' * 5000, "[tool]\n"],
)
def test_what_is_nothing_of_ours_is_left_to_whoever_reads_it(tmp_path: Path, run: Run, content: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    assert recognise(file) is None
    result = run("show", file)
    assert result.exit_code == 1
    assert "can be recognised" in result.stderr


def test_somebody_elses_manifest_or_summary_makes_no_kind(tmp_path: Path) -> None:
    for name in (NAME, SUMMARY):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text('{"name": "app", "status": "x"}')
        assert recognise(folder) is None
        assert recognise(folder / name) is None
    assert recognise(tmp_path / "absent") is None
    assert recognise(tmp_path / "no\0path") is None


def test_what_is_too_large_to_be_a_document_of_ours_is_not_read(
    kinds: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.inspect.kinds._LARGEST", 1)
    assert recognise(kinds["plan"]) is None


def test_a_log_that_grows_is_not_read_as_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"plan_id": 1, "changes": []}\n' * 2)
    monkeypatch.setattr("migrate.inspect.kinds._json", pytest.fail)
    assert recognise(log) is None


@pytest.mark.parametrize("option", ["--plan-out", "--log-file"])
def test_a_journal_is_not_written_over(tmp_path: Path, run: Run, kinds: Mapping[str, Path], option: str) -> None:
    journal = Path(shutil.copy(kinds["journal"], tmp_path / "plan.journal.jsonl"))
    before = journal.read_bytes()
    result = run("load", kinds["mapped"], "--replay", "demo", option, journal)
    assert (result.exit_code, journal.read_bytes()) == (4, before)
    assert "is a journal of load or rollback" in result.stderr
