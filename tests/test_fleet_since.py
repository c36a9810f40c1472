"""What fleet.json and the reports say of an account after what came later: written, undone, suspended, gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from tests.company import Company, company, outcomes, sid_of
from tests.conftest import Run

ONE, OTHERS = 1, (2, 3)
WRITE = ("--apply", "--yes", "--json")
ALL = ("fleet", "--accounts")
THIS = ("fleet", "--account", sid_of(ONE))


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    with company(environment, 3) as found:
        yield found


def listed(accounts: Company, *changes: tuple[int, dict[str, Any]]) -> None:
    """Change how accounts are listed."""
    members = list(accounts.accounts.members)
    for number, change in changes:
        members[number - 1] = replace(members[number - 1], **change)
    object.__setattr__(accounts.accounts, "members", tuple(members))


def said_of(name: str) -> str:
    return (Path("fleet") / f"{name}.md").read_text("utf-8").split("\n\n")[1]


def test_a_report_of_some_says_of_the_others_what_is_so_by_now(run: Run, accounts: Company) -> None:
    run("run", "--accounts", "--out", "fleet")
    run("load", *ALL, "--only", 2, *WRITE)
    written = {int(sid[-2:]) for sid in accounts.writes}
    (left,) = {1, 2, 3} - written
    rest = ("fleet", "--account", sid_of(left))
    run("load", *rest)
    assert said_of("report") == "**1 pending, 2 done**, of 3 accounts."
    run("rollback", *ALL, *WRITE)
    run("load", *rest, *WRITE)
    assert said_of("applied") == "**3 done**, of 3 accounts."
    applied = Path("fleet/applied.md").read_text("utf-8")
    assert applied.count("undone since, 20") == 2
    assert "- In all: 1 applied\n" in applied
    run("load", *ALL)
    run("load", *ALL, *WRITE)
    run("rollback", *rest, *WRITE)
    undone = Path("fleet/undone.md").read_text("utf-8")
    assert undone.count("applied since, 20") == 2
    assert "- In all: 1 undone\n" in undone


def test_what_was_written_is_known_until_it_is_undone_whatever_a_later_look_brings(
    run: Run, accounts: Company, tmp_path: Path
) -> None:
    run("run", "--accounts", "--out", "fleet")
    run("load", *THIS, *WRITE)
    listed(accounts, (ONE, {"status": "suspended"}))
    assert outcomes(run("load", *ALL, *WRITE), 4)[ONE]["reason"] == "it is suspended"
    listed(accounts, (ONE, {"status": "active"}))
    (journal,) = Path("fleet", sid_of(ONE)).glob("*.journal.jsonl")
    journal.rename(tmp_path / "journal")
    lost = outcomes(run("rollback", *ALL, *WRITE), 4)
    assert "no journal of that is in" in lost[ONE]["reason"]
    (tmp_path / "journal").rename(journal)
    assert outcomes(run("rollback", *ALL, *WRITE), 0)[ONE]["figures"] == {"undone": 1}
    journal.unlink()
    undone = run("rollback", *ALL, *WRITE)
    assert undone.exit_code == 0, undone.output


def test_one_that_left_is_refused_while_something_of_it_is_written_and_can_be_left_out_otherwise(
    run: Run, accounts: Company
) -> None:
    run("run", "--accounts", "--out", "fleet")
    run("load", *THIS, *WRITE)
    listed(accounts, (ONE, {"status": "suspended"}), (2, {"status": "closed"}))
    both = outcomes(run("load", *ALL, "--json"), 4)
    assert {number: one["exit_code"] for number, one in both.items()} == {1: 4, 2: 4, 3: 3}
    assert "move its folder out" in both[2]["remedy"]
    assert "its folder has the journal" in both[1]["remedy"]
    for number in (1, 2):
        shutil.move(f"fleet/{sid_of(number)}", f"away-{number}")
    for command in (("load", *ALL), ("rollback", *ALL), ("map", *ALL)):
        gone = outcomes(run(*command, "--json"), 4)
        assert (gone[1]["exit_code"], gone[2]["exit_code"], gone[2]["state"]) == (4, 0, "left-out")
    members = [one for one in accounts.accounts.members if one.world.account_sid == sid_of(3)]
    object.__setattr__(accounts.accounts, "members", tuple(members))
    hidden = outcomes(run("rollback", *ALL, "--json"), 4)
    assert (hidden[1]["reason"], hidden[1]["exit_code"]) == ("Twilio does not list it", 4)
    assert (hidden[2]["reason"], hidden[2]["exit_code"]) == ("Twilio does not list it", 0)


def test_a_review_that_was_lost_is_not_taken_for_none(run: Run, accounts: Company) -> None:
    run("run", "--accounts", "--out", "fleet")
    shutil.rmtree(f"fleet/{sid_of(2)}/mapped")
    found = outcomes(run("run", "--accounts", "--out", "tonight", "--like", "fleet", "--json"), 4)
    assert {number: one["exit_code"] for number, one in found.items()} == {1: 3, 2: 4, 3: 3}
    assert "had a mapped folder" in found[2]["reason"]
    manifest = json.loads(Path("tonight/fleet.json").read_text())
    assert manifest["accounts"][sid_of(2)]["stages"]["run"]["state"] == "failed"


def test_an_account_whose_extract_failed_is_told_how_to_go_on(run: Run, accounts: Company) -> None:
    listed(accounts, (2, {"refuses": True}))
    run("run", "--accounts", "--out", "fleet")
    found = outcomes(run("load", *ALL, "--json"), 1)
    assert found[2]["reason"] == "it has no folder: nothing was extracted"
    assert found[2]["remedy"].startswith(f"Extract it with: chat-migrate run --out fleet --account {sid_of(2)}")


def test_remedies_are_commands_of_the_fleet_also_in_the_list_before_the_question(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    run("run", "--accounts", "--out", "fleet")
    config = Path("fleet", sid_of(ONE), "mapped", "push-config.yaml")
    config.write_text(config.read_text("utf-8").replace('template: "${PARTICIPANT}: ', 'template: "'), "utf-8")
    service = next(iter(accounts.world(2).services.values()))
    service.configuration = {**(service.configuration or {}), "new_message.template": "of somebody else"}
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    asked = CliRunner().invoke(cli, ["load", *ALL, "--apply"], input="no\n", prog_name="chat-migrate")
    for number in (ONE, 2):
        assert f"Make a new plan with: chat-migrate load fleet --account {sid_of(number)}" in asked.stderr
    assert "load(" not in asked.stderr
    done = outcomes(run("load", *ALL, *WRITE), 5)
    assert f"chat-migrate load fleet --account {sid_of(ONE)}" in done[ONE]["remedy"]


def test_a_copy_of_a_journal_is_no_other_command_s(run: Run, accounts: Company) -> None:
    run("run", "--accounts", "--out", "fleet")
    run("load", *THIS, *WRITE)
    (journal,) = Path("fleet", sid_of(ONE)).glob("*.journal.jsonl")
    shutil.copy(journal, journal.with_name("backup.journal.jsonl"))
    assert outcomes(run("rollback", *THIS, *WRITE), 0)[ONE]["figures"] == {"undone": 1}
