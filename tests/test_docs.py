"""The pages of docs/: their commands are run, and links between pages and notebooks lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from migrate.standin.world import World
from tests.conftest import ROOT, Run, Serve, service_sid
from tests.pages import KEY, anchors_of, blocks_of, commands_in, furnish, run_block, run_session

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.glob("docs/*.md")}
NOTEBOOKS = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("notebooks/*.ipynb")}
# How many commands each page has, and how many writes they make at Twilio.
COMMANDS = {
    "docs/afterwards.md": (6, 0),
    "docs/credentials.md": (2, 2),
    "docs/engine.md": (3, 0),
    "docs/inside.md": (2, 0),
    "docs/mapping.md": (7, 0),
    "docs/runbook.md": (20, 10),
    "docs/safety.md": (1, 0),
    "docs/stand-in.md": (6, 0),
    "docs/unverified.md": (16, 2),
}
FROM_NOTHING = ("docs/inside.md", "docs/unverified.md")  # the others begin with a snapshot and what it is mapped to


@pytest.mark.long
@pytest.mark.parametrize("page", COMMANDS)
def test_every_command_of_a_page_runs(
    page: str, tmp_path: Path, run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", serve(demo_world).url)
    environment.chdir(tmp_path)
    folder, ran = furnish(tmp_path), 0
    if page == "docs/runbook.md":
        decide(folder, run)
    elif page not in FROM_NOTHING:
        migrate(folder, run)
    for kind, block in blocks_of(PAGES[page]):
        if kind == "console":
            run_session(block, folder)
        else:
            run_block(block, folder, demo_world)
        ran += commands_in(block)
    assert (ran, len(demo_world.writes)) == COMMANDS[page]


def migrate(folder: Path, run: Run, *rules: str) -> None:
    """A snapshot, what it is mapped to, and a file with a secret."""
    (folder / "service-account.json").write_text(KEY)
    for command in (("extract", "--out", "snapshot"), ("map", "snapshot", "--out", "mapped", *rules)):
        done = run(*command)
        assert done.exit_code == 0, done.output


def decide(folder: Path, run: Run) -> None:
    """What the runbook's window begins with: a snapshot, rules, and a push configuration, reviewed and edited."""
    readme = (ROOT / "README.md").read_text("utf-8")
    rules = re.search(r"cat > rules.toml <<'END'\n(.*?)^ *END$", readme, re.DOTALL | re.MULTILINE)
    assert rules
    (folder / "rules.toml").write_text(dedent(rules[1]), "utf-8")
    migrate(folder, run, "--rules", "rules.toml")
    config = folder / "mapped" / "push-config.yaml"
    before, last, after = config.read_text("utf-8").partition(service_sid(7))
    edited = re.sub(r"(removed_from_conversation:\n) *enabled: .*\n", r"\1", after)
    assert edited != after
    config.write_text(before + last + edited, "utf-8")


def test_no_page_has_commands_that_are_not_run() -> None:
    # test_fleet_docs.py, test_scale.py and object_storage/test_page.py run them
    others = {"docs/fleet.md", "docs/scale.md", "docs/object-storage.md"}
    assert {page for page, text in PAGES.items() if blocks_of(text)} == set(COMMANDS) | others


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *sorted(PAGES), *sorted(NOTEBOOKS)])
def test_links_lead_somewhere(page: str) -> None:
    text = prose(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text.replace("\n", " ")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors_of(there.read_text("utf-8")), target


def prose(page: str) -> str:
    """What a page says; of a notebook, its cells of text."""
    if page not in NOTEBOOKS:
        return (ROOT / page).read_text("utf-8")
    cells = json.loads(NOTEBOOKS[page].read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
