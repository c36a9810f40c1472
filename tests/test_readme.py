"""The README: its commands are run, its output is real, its links lead somewhere."""

from __future__ import annotations

import json
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
# A page has blocks that are run, in its order: each a kind, and its lines without what indents it in a list.


def blocks_of(page: str) -> list[tuple[str, str]]:
    return [
        (kind, re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for indent, kind, block in re.findall(r"^( *)```(bash|console)\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    ]


BLOCKS = blocks_of(README)
KEY = json.dumps({"project_id": "p", "client_email": "a@example.test", "private_key": "synthetic"})
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
        env={**os.environ, "PATH": path, "XDG_CONFIG_HOME": str(folder / "state"), "FCM_SERVICE_ACCOUNT": KEY},
        input=answer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def run_block(block: str, folder: Path, world: World) -> None:
    """Run what the page says to call; a stand-in serves until it is stopped, and so is."""
    if "standin" in block:
        served = [f"{re.sub(r'--port [0-9]+', '--port 0', line)} & sleep 2; kill $!" for line in block.splitlines()]
        block = "\n".join(served)
    done = bash(block.replace(PLACEHOLDER, world.account_sid), folder, world.auth_token + "\n")
    assert done.returncode == 0, f"{block}\n{done.stdout}"


def run_session(session: str, folder: Path) -> None:
    """Run the commands of a session, and compare what they say with what the page shows; "…" stands for anything."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        shown = "".join(line for line in shown.splitlines(keepends=True) if not line.startswith("Type the number"))
        done = bash(command.replace("--apply", "--apply --yes"), folder)
        pattern = re.escape(shown).replace(re.escape("…\n"), "(?s:.*)")
        assert re.fullmatch(pattern, done.stdout), f"{command}\n{done.stdout}"
        assert (done.returncode != 0) == ("Error: " in shown)


def test_every_command_of_the_readme_runs(folder: Path, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    (folder / "service-account.json").write_text(KEY)
    ran = 0
    for kind, block in BLOCKS:
        if kind == "console":
            run_session(block, folder)
        elif not block.startswith("make"):  # those are run by .ci/run, see below
            run_block(block, folder, demo_world)
        ran += len(re.findall(r"^(?:\$ |eval \"\$\()?chat-migrate ", block, re.MULTILINE))
    assert ran == 31
    assert (folder / "report.md").exists()
    assert [write.split("/")[-1] for write in demo_world.writes] == [
        *["Notifications"] * 5, "Credentials", "CR00000000000000000000000000000004",
    ]  # fmt: skip


def test_every_command_of_the_page_of_open_questions_runs(folder: Path, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    blocks = blocks_of((ROOT / "docs" / "unverified.md").read_text("utf-8"))
    for _, block in blocks:
        run_block(block, folder, demo_world)
    assert len(blocks) == 5
    services = {write.split("/")[3] for write in demo_world.writes}
    assert (len(demo_world.writes), services) == (2, {"IS00000000000000000000000000000003"})


def test_the_make_targets_are_there_and_the_two_commands_are_run_in_ci() -> None:
    ci, makefile = (ROOT / ".ci" / "run").read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)$", "\n".join(block for _, block in BLOCKS), re.MULTILINE):
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
