"""The README: its commands are run, its output is real, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrate.map.rules import DROP
from migrate.map.rules_toml import default_rules
from migrate.model import errors
from migrate.standin.world import World
from tests.conftest import ROOT, Serve
from tests.pages import blocks_of, commands_in, furnish, run_block, run_session

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = blocks_of(README)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run commands in."""
    return furnish(tmp_path)


@pytest.mark.long
def test_every_command_of_the_readme_runs(
    folder: Path, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", serve(demo_world).url)  # as `standin` prints it
    ran = 0
    for kind, block in BLOCKS:
        if kind == "console":
            run_session(block, folder)
        elif not block.startswith(("make", "pipx")):  # those are run by .ci/run, see below
            run_block(block, folder, demo_world)
        ran += commands_in(block)
    assert ran == 17
    assert (folder / "report.md").exists()
    assert [write.split("/")[-1] for write in demo_world.writes] == ["Notifications"] * 4


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 1500


def test_the_make_targets_are_there_and_the_two_commands_are_run_in_ci() -> None:
    ci, makefile = (ROOT / ".ci" / "run").read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)$", "\n".join(block for _, block in BLOCKS), re.MULTILINE):
        assert f"make {target}" in ci
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_ways_to_install_are_run_in_ci() -> None:
    block = next(block for _, block in BLOCKS if block.startswith("pipx"))
    assert len(block.splitlines()) == 3
    assert "python3 .ci/installs.py" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(
        r"^```bash\n(pipx install .*?)^```", README, re.DOTALL | re.MULTILINE
    )  # as .ci/installs.py finds it


def test_the_mapping_table_is_the_rules() -> None:
    rules, page = default_rules(), (ROOT / "docs" / "mapping.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (`?\w+`?) \|", page, re.MULTILINE))
    for source, target in rules.message_types.items():
        assert rows[source] == ("none" if target == DROP else f"`{target}`")
    names = rules.tables["message_type_names"]
    for ignored in names["ignored"]:
        assert f"`{ignored}`" in page
    for prefix in (*names["chat_prefixes"], *names["conversations_prefixes"]):
        assert f"`{prefix}…`" in page
    for source, target in rules.tables["template_variables"].items():
        first = source.split("_")[0]
        assert f"`${{{first}" in page
        assert f"`${{{target.split('_')[0]}" in page


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {
        int(code)
        for code in re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "safety.md").read_text("utf-8"), re.MULTILINE)
    }
    used = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MigrateError)
    }
    assert used | {0, 3} == listed
