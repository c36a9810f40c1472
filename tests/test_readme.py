"""The README: its commands are run, its output is real, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from migrate.map.rules import DROP
from migrate.map.rules_toml import default_rules
from migrate.model import errors
from migrate.standin.world import World
from tests.conftest import ROOT, Serve

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [
    re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
]
PLACEHOLDER = "AC" + "X" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run commands in, with the cassettes beside it as in a clone."""
    (tmp_path / "cassettes").symlink_to(ROOT / "cassettes")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def bash(script: str, folder: Path, answer: str = "") -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_of_the_readme_runs(folder: Path, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    ran = 0
    for block in BLOCKS:
        if block.startswith("make"):
            continue  # run by .ci/run, see below
        script = block.replace(PLACEHOLDER, demo_world.account_sid)
        if "standin" in block:
            script = re.sub(r"--port \d+", "--port 0", script).strip() + " & sleep 2; kill $!"
        done = bash(script, folder, demo_world.auth_token + "\n")
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        ran += block.count("chat-migrate ")
    assert ran == 19
    assert (folder / "report.md").exists()
    assert demo_world.writes == []
    # What writes is shown as a session, because it asks; here it is told to go on.
    forced = "--yes --force blockers --force switches-off"
    for command in re.findall(r"^\s*\$ (chat-migrate .*--apply)$", README, re.MULTILINE):
        done = bash(f"XDG_CONFIG_HOME=. {command} {forced}", folder)
        assert done.returncode == 0, done.stderr
    assert len(demo_world.writes) == 2 * 5


def test_the_make_targets_are_there_and_the_two_commands_are_run_in_ci() -> None:
    ci, makefile = (ROOT / ".ci" / "run").read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)$", "\n".join(BLOCKS), re.MULTILINE):
        assert f"make {target}" in ci
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_picture_is_real_output(folder: Path) -> None:
    shown = README.partition("```text\n")[2].partition("```")[0]
    done = bash("chat-migrate run --replay cassettes/demo.yaml --out out/demo", folder)
    assert done.stdout == shown


def test_the_mapping_table_is_the_rules() -> None:
    rules = default_rules()
    rows = dict(re.findall(r"^\| `(\w+)` \| (`?\w+`?) \|", README, re.MULTILINE))
    for source, target in rules.message_types.items():
        assert rows[source] == ("none" if target == DROP else f"`{target}`")
    names = rules.tables["message_type_names"]
    for ignored in names["ignored"]:
        assert f"`{ignored}`" in README
    for prefix in (*names["chat_prefixes"], *names["conversations_prefixes"]):
        assert f"`{prefix}…`" in README
    for source, target in rules.tables["template_variables"].items():
        first = source.split("_")[0]
        assert f"`${{{first}" in README
        assert f"`${{{target.split('_')[0]}" in README


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    used = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MigrateError)
    }
    assert used | {0, 3} == listed


def test_links_within_the_project_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", README.replace("\n", " ")):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target
