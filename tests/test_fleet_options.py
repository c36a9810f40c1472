"""The options of a fleet: they make a command a fleet's, and a mixture with those of one account is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from migrate.cli.app import cli
from migrate.cli.help import FLEET, SharedOption
from migrate.inspect.kinds import FLEET as MANIFEST
from tests.conftest import Run

COMMANDS = ("doctor", "run", "extract", "map", "rehearse", "diff", "load", "rollback", "verify", "health")
OFFLINE = ("map", "rehearse", "diff")
ACCOUNT = "AC" + "1" * 32


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps({"format_version": 1, "main_account_sid": None, "accounts": {}}))
    return folder


def options_of(name: str) -> set[str]:
    command = cli.commands[name]
    return {one.opts[0] for one in command.params if isinstance(one, SharedOption) and one.group == FLEET}


def test_the_commands_that_make_sense_for_a_fleet_take_its_options() -> None:
    assert {name for name in cli.commands if options_of(name)} == set(COMMANDS)
    for name in COMMANDS:
        offline = set() if name in OFFLINE else {"--accounts-file"}
        writes = {"--max-accounts", "--one-by-one"} if name in ("load", "rollback") else set()
        own = {"--of"} if name == "diff" else set()
        assert options_of(name) == {"--accounts", "--account", "--only", "--stop-after"} | offline | writes | own


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_names_them_behind_all_others(name: str) -> None:
    parent = click.Context(cli, info_name="chat-migrate", **cli.context_settings)
    shown = click.Context(cli.commands[name], parent=parent, info_name=name, terminal_width=80).get_help()
    others, _, ours = shown.partition(f"{FLEET} (docs/fleet.md), which `chat-migrate --help` explains:\n")
    assert "--accounts  --account AC…" in ours
    assert "--json" not in ours
    assert "--accounts " not in others.partition("\nOptions:\n")[2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["load", "FLEET", "--accounts", "--service", "IS" + "0" * 32], "--service is for one account: it does not go with --accounts"),
        (["load", "FLEET", "--accounts", "--plan-out", "x.json"], "--plan-out is for one account"),
        (["load", "FLEET", "--account", ACCOUNT, "--journal", "x"], "--journal is for one account: it does not go with --account"),
        (["run", "--accounts", "--out", "x", "--record", "c.yaml"], "--record is for one account"),
        (["doctor", "--accounts", "--replay", "demo"], "--replay is for one account"),
        (["extract", "--accounts", "--out", "x", "--identity", "ada"], "--identity is for one account"),
        (["health", "--accounts"], "Name the fleet's folder: --out FLEET"),
        (["load", "--accounts"], "Name the fleet's folder: chat-migrate load FLEET"),
        (["load", "x", "--only", "5%"], "--only is for a fleet, and no accounts are named: add --accounts"),
        (["load", "x", "--max-accounts", "5"], "--max-accounts is for a fleet"),
        (["diff", "x", "y", "--of", "plan"], "--of is for a fleet"),
        (["map", "x"], "Missing option '--out'"),
        (["doctor", "--account", "AC12"], "not an account's SID (AC and 32 hexadecimal digits)"),
        (["run", "--accounts", "--out", "x", "--only", "101%"], "'101%' is neither a number of accounts"),
        (["run", "--accounts", "--out", "x", "--only", "0"], "'0' is neither a number of accounts"),
    ],
)  # fmt: skip
def test_a_wrong_mixture_is_one_line(run: Run, fleet: Path, words: list[str], line: str) -> None:
    result = run(*(str(fleet) if word == "FLEET" else word for word in words))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("Error: ") == 1
    assert line in result.stderr


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["load", "FLEET", "--apply"], "load --accounts FLEET --apply"),
        (["rollback", "FLEET"], "rollback --accounts FLEET"),
        (["map", "FLEET", "--out", "x"], "map --accounts FLEET --out x"),
        (["verify", "FLEET"], "verify --accounts FLEET"),
        (["rehearse", "FLEET"], "rehearse --accounts FLEET"),
        (["diff", "FLEET", "FLEET"], "diff --accounts FLEET FLEET"),
        (["run", "--out", "FLEET"], "run --accounts --out FLEET"),
        (["extract", "--out", "FLEET"], "extract --accounts --out FLEET"),
        (["health", "--out", "FLEET"], "health --accounts --out FLEET"),
    ],
)
def test_a_fleets_folder_without_its_options_is_named_with_the_same_command_and_them(
    run: Run, fleet: Path, words: list[str], again: str
) -> None:
    result = run(*(str(fleet) if word == "FLEET" else word for word in words))
    assert (result.exit_code, result.stdout) == (4 if "--out" in words and words[0] != "map" else 2, "")
    assert f"{fleet} is a fleet's folder, not " in result.stderr
    assert f"with the same command: chat-migrate {again.replace('FLEET', str(fleet))}\n" in result.stderr


@pytest.mark.parametrize("words", [["load", "MAPPED"], ["map", "MAPPED"], ["run", "--out", "MAPPED"]])
def test_a_single_accounts_folder_is_not_taken_for_a_fleets(run: Run, migration: Path, words: list[str]) -> None:
    mapped = migration / "mapped"
    result = run(*(str(mapped) if word == "MAPPED" else word for word in words), "--accounts")
    assert result.exit_code == (4 if "--out" in words else 2)
    assert f"{mapped} is a mapped folder, not a fleet's folder" in result.stderr
