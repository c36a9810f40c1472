"""The commands of a fleet from their beginning to their end: the others finish, the error says who does not, and one command goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from migrate.cli.app import cli
from tests.company import Company, company, sid_of
from tests.conftest import Run

SUSPENDED, REFUSED = 3, 4
GOOD = (1, 2, 5)


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    with company(environment, 5, suspended={SUSPENDED}, refused={REFUSED}) as found:
        yield found


def typing(answer: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), input=answer, prog_name="chat-migrate")


def planned(run: Run) -> None:
    """Run the fleet once; its refused account fails."""
    assert run("run", "--accounts", "--out", "fleet").exit_code == 1


def test_the_others_finish_and_the_error_says_who_does_not_with_the_command_that_goes_on(
    run: Run, accounts: Company, tmp_path: Path
) -> None:
    ran = run("run", "--accounts", "--out", "fleet", "--json")
    states = {one["account_sid"]: one["state"] for one in json.loads(ran.stdout)["accounts"]}
    assert ran.exit_code == 1
    assert states == {
        **{sid_of(one): "done" for one in GOOD},
        sid_of(SUSPENDED): "left-out",
        sid_of(REFUSED): "failed",
    }
    error = ran.stderr.splitlines()[-1]
    assert error.startswith(f"Error: 1 of 5 accounts is not finished: {sid_of(REFUSED)} (")
    assert error.endswith("chat-migrate run --out fleet --accounts --json")
    assert ran.stderr.count("this is not Twilio's own address") <= 2, "once, and how many more"
    page = (tmp_path / "fleet" / "report.html").read_text("utf-8")
    for one in GOOD:
        assert (tmp_path / "fleet" / sid_of(one) / "report.md").is_file()
        assert f'href="{sid_of(one)}/report.html"' in page
    again = run("run", "--accounts", "--out", "fleet", "--json")
    states = {one["account_sid"]: one["state"] for one in json.loads(again.stdout)["accounts"]}
    assert {states[sid_of(one)] for one in GOOD} == {"earlier"}
    assert not accounts.writes


def test_one_question_with_both_numbers_and_what_is_refused_is_left_alone(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    planned(run)
    refused = run("load", "fleet", "--accounts", "--apply")
    assert (refused.exit_code, accounts.writes) == (4, {})
    assert "there is no terminal to ask on" in refused.stderr
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    for answer in ("3\n", "4 3\n", "yes\n"):
        asked = typing(answer, "load", "fleet", "--accounts", "--apply")
        assert (asked.exit_code, accounts.writes) == (4, {})
    assert "Left alone: 1 account" in asked.stderr
    assert "of 3 services in 3 accounts." in asked.stderr
    assert f"Conversations  {accounts.url}" in asked.stderr
    done = typing("3 3\n", "load", "fleet", "--accounts", "--apply")
    assert set(accounts.writes) == {sid_of(one) for one in GOOD}
    assert f"{sid_of(REFUSED)} (" in done.stderr
    assert "1 failed, 1 left out, 3 done." in done.stdout
    writes = accounts.writes
    undone = run("rollback", "fleet", "--accounts", "--apply", "--yes")
    assert {sid: 2 * number for sid, number in writes.items()} == accounts.writes, undone.output


def test_a_first_wave_is_written_alone_and_too_many_accounts_are_refused(run: Run, accounts: Company) -> None:
    planned(run)
    many = run("load", "fleet", "--accounts", "--apply", "--yes", "--max-accounts", "2")
    assert (many.exit_code, accounts.writes) == (4, {})
    assert "3 accounts have something to write, more than 2" in many.stderr
    run("load", "fleet", "--accounts", "--apply", "--yes", "--only", "1")
    assert len(accounts.writes) <= 1
    run("load", "fleet", "--account", sid_of(5), "--apply", "--yes")
    assert sid_of(5) in accounts.writes


def test_each_account_is_asked_for_in_turn(run: Run, accounts: Company, environment: pytest.MonkeyPatch) -> None:
    planned(run)
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    asked = typing("1 1\nno\n1 1\n", "load", "fleet", "--accounts", "--apply", "--one-by-one")
    assert asked.stderr.count("Type the number of accounts and of services") == 3
    assert asked.stderr.count("Left alone") == 1
    assert set(accounts.writes) == {sid_of(1), sid_of(5)}


def test_the_offline_commands_take_the_accounts_from_the_folder(run: Run, accounts: Company) -> None:
    planned(run)
    one = ("--account", sid_of(1))
    assert run("map", "fleet", *one).exit_code == 0
    assert run("map", "fleet", *one, "--out", "other").exit_code == 0
    assert run("diff", "fleet", "other", *one, "--detailed-exitcode").exit_code == 0
    differs = run("diff", "fleet", "other", "--account", sid_of(2), "--detailed-exitcode")
    assert differs.exit_code == 3, differs.output
    assert run("load", "fleet", *one, "--detailed-exitcode").exit_code == 3
    shown = run("show", "fleet")
    assert (shown.exit_code, "run " in shown.stdout) == (0, True)


def test_verify_health_and_doctor_say_it_of_each_account(run: Run, accounts: Company, tmp_path: Path) -> None:
    planned(run)
    for words in (["verify", "fleet"], ["health", "--out", "fleet"], ["doctor"]):
        said = run(*words, "--accounts")
        assert (said.exit_code, f"{sid_of(REFUSED)} (" in said.stderr) == (1, True), said.output
    assert [*(tmp_path / "fleet" / sid_of(1) / "coverage").glob("*.parquet")]
    assert [*(tmp_path / "fleet" / sid_of(1) / "health").glob("*.parquet")]
