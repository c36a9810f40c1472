"""docs/fleet.md: the night of a company, each command of the page in its order."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.company import company, sid_of
from tests.conftest import ROOT, Run
from tests.pages import blocks_of

PAGE = (ROOT / "docs" / "fleet.md").read_text("utf-8")
LINES = [line for _, block in blocks_of(PAGE) for line in block.splitlines()]
COMMANDS = [shlex.split(line)[1:] for line in LINES if line.startswith("chat-migrate ")]
SUSPENDED, LAST = 2, 3


@pytest.mark.long
def test_every_command_of_the_night_runs_in_its_order(
    run: Run, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    writes: list[int] = []
    with company(environment, LAST, suspended={SUSPENDED}) as found:
        for words in COMMANDS:
            if words[0] == "standin":
                continue
            done = run(*words, *(["--yes"] if "--apply" in words else []))
            assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"
            if "--apply" in words:
                writes.append(sum(found.writes.values()))
        assert set(found.writes) == {sid_of(1), sid_of(LAST)}
    assert writes == [1, 2, 4], "a first wave, the others, and each undone"


def test_the_page_names_every_verdict_that_asks_for_something() -> None:
    for word in ("failed", "refused", "stale", "partly", "not begun", "left out"):
        assert f"| `{word}` |" in PAGE
