"""A command asks Twilio at once: what it needs later is not loaded before its first request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from migrate.model.plan import JOURNAL
from tests.applying import apply
from tests.conftest import Run, Serve, service_sid, tiny_world

# Prints the modules that are there when the first connection is made, and ends. Whatever the network is, none is made.
LOOK = """
import os, sys
def look(event, arguments):
    if event == "socket.connect":
        sys.stdout.write(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
        sys.stdout.flush()
        os._exit(0)
sys.addaudithook(look)
from migrate.__main__ import main
main()
"""
LATER = {"pandas", "numpy", "pyarrow", "duckdb", "cryptography", "jwt", "jinja2", "aiohttp", "asyncio", "tenacity"}
LATER |= {"vcr", "tomlkit", "matplotlib"}


def loaded(*arguments: object) -> set[str]:
    """The packages that a command has loaded when it makes its first connection."""
    command = [sys.executable, "-c", LOOK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, f"{arguments[0]} asked nothing: {done.stderr}"
    return set(done.stdout.split())


@pytest.fixture
def folder(tmp_path: Path, run: Run, serve: Serve) -> Path:
    """A migration that was loaded, from a stand-in that the environment names."""
    serve(tiny_world())
    assert run("run", "--out", tmp_path / "m").exit_code == 0
    done = apply(run, tmp_path / "m" / "plan.json")
    assert done.exit_code == 0, done.output
    return tmp_path / "m"


def test_no_command_waits_for_what_it_needs_later_before_it_asks_twilio(folder: Path) -> None:
    journal = (folder / "plan.json").with_suffix(JOURNAL)
    commands = (
        ("extract", "--out", folder / "new"),
        ("run", "--out", folder / "all"),
        ("load", folder / "mapped"),
        ("load", "--plan", folder / "plan.json", "--apply", "--yes", "--journal", folder / "again.jsonl"),
        ("rollback", journal),
        ("verify", folder / "snapshot", "--coverage", folder / "coverage"),
        ("retire", folder / "snapshot", "--coverage", folder / "coverage"),
        ("why", "person-0001", "--service", service_sid(1), "--mapped", folder / "mapped"),
        ("doctor",),
    )
    early = {" ".join(map(str, command[:2])): loaded(*command) & LATER for command in commands}
    assert not any(early.values()), early


def test_a_command_loads_no_other_command(folder: Path) -> None:
    code = LOOK.replace('.split(".")[0]', "")
    command = [sys.executable, "-c", code, "extract", "--out", str(folder / "new")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    commands = {name for name in done.stdout.split() if name.startswith("migrate.cli.commands.")}
    assert commands == {"migrate.cli.commands.extract", "migrate.cli.commands.warnings"}


def test_an_extract_never_loads_what_only_other_commands_need(tmp_path: Path, serve: Serve) -> None:
    """Arrow loads pandas where it is given Python's values, and that takes longer than a small extract does."""
    serve(tiny_world())
    code = """
import sys
from migrate.__main__ import main
try:
    main()
except SystemExit as end:
    print(end.code, *{name.split(".")[0] for name in sys.modules})
"""
    command = [sys.executable, "-c", code, "extract", "--out", str(tmp_path / "s"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    exit_code, *modules = done.stdout.splitlines()[-1].split()
    assert exit_code == "0"
    assert not {"pandas", "duckdb", "cryptography", "jinja2", "tenacity"} & set(modules)
