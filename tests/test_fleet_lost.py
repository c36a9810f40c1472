"""What a fleet must not lose sight of: accounts, folders, journals, and what others have set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.company import MAIN, MAIN_TOKEN, Company, company, outcomes, sid_of, states, token_of
from tests.conftest import Run
from tests.fleet.test_refusals import change
from tests.test_fleet_commands import typing

ALL = ("--accounts", "--json")
WRITE = ("--apply", "--yes", *ALL)


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    with company(environment, 3) as found:
        yield found


def folder_of(number: int) -> Path:
    return Path("fleet") / sid_of(number)


def test_an_account_that_twilio_does_not_list_any_more_is_not_forgotten(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    run("load", "fleet", *WRITE)
    accounts.unlisted(2)
    for words in (
        ("run", "--out", "fleet"),
        ("load", "fleet"),
        ("verify", "fleet"),
        ("rollback", "fleet", "--apply"),
    ):
        found = outcomes(run(*words, "--yes" if "--apply" in words else "--json", *ALL), 4)
        assert found.keys() == {1, 2, 3}
        assert (found[2]["state"], found[2]["exit_code"]) == ("left-out", 4)
        assert found[2]["reason"] == "Twilio does not list it"
        assert "Settings of it are written, and its folder has the journal" in found[2]["remedy"]
    assert accounts.writes == {sid_of(1): 2, sid_of(3): 2}
    assert accounts.accounts.member(sid_of(2)) is None
    one = run("rollback", "fleet", "--account", sid_of(1), "--json")
    assert states(one, 0) == {1: ("earlier", 0)}, "who names accounts knows of the others"
    shown = json.loads(run("show", "fleet", "--json").stdout)["accounts"][sid_of(2)]["stages"]
    assert shown["rollback"]["exit_code"] == 4


def test_what_was_written_and_cannot_be_undone_because_its_journal_is_gone_is_refused(
    run: Run, accounts: Company
) -> None:
    run("run", *ALL, "--out", "fleet")
    run("load", "fleet", *WRITE, "--account", sid_of(1))
    shutil.move(folder_of(1), "away")
    (folder_of(2) / "plan.journal.jsonl").unlink()
    for words in (ALL, WRITE):
        found = outcomes(run("rollback", "fleet", *words), 4)
        assert {number: (one["state"], one["exit_code"]) for number, one in found.items()} == {
            1: ("failed", 4),
            2: ("failed", 4),
            3: ("done", 0 if "--apply" in words else 3),
        }
        assert "no journal of that" in found[2]["reason"]
        assert found[1]["remedy"].startswith("Put it back")
    shutil.move("away", folder_of(1))
    assert states(run("rollback", "fleet", *WRITE), 4)[1] == ("done", 0)
    assert accounts.writes[sid_of(2)] == 1


def test_a_folder_that_holds_another_accounts_data_is_used_by_no_stage(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    shutil.move(folder_of(1), "one")
    shutil.move(folder_of(2), folder_of(1))
    shutil.move("one", folder_of(2))
    these = ("--account", sid_of(1), "--account", sid_of(2), "--json")
    for words in (("extract", "--out", "fleet"), ("run", "--out", "fleet"), ("map", "fleet"), ("rehearse", "fleet")):
        found = outcomes(run(*words, *these), 4)
        assert {number: one["exit_code"] for number, one in found.items()} == {1: 4, 2: 4}, words
        assert f"is of account {sid_of(2)}, and lies in the folder of {sid_of(1)}" in found[1]["reason"]
        assert "Move it back" in found[1]["remedy"]
    assert {*states(run("load", "fleet", *WRITE), 4).values()} == {("failed", 4), ("done", 0)}
    assert {*accounts.writes} == {sid_of(3)}


def test_what_a_command_of_one_account_has_written_is_not_taken_for_nothing(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    run("run", *ALL, "--out", "fleet")

    def as_account(*words: object) -> None:
        environment.setenv("TWILIO_ACCOUNT_SID", sid_of(1))
        environment.setenv("TWILIO_AUTH_TOKEN", token_of(1))
        done = run(*words)
        assert done.exit_code == 0, done.output
        environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
        environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)

    as_account("load", folder_of(1) / "mapped", "--apply", "--yes")
    (journal,) = folder_of(1).glob("*.journal.jsonl")
    for words in (ALL, WRITE):
        found = outcomes(run("rollback", "fleet", *words), 4)[1]
        assert f"{journal} was written by a command of this account alone" in found["reason"]
        assert f"chat-migrate rollback {journal} --apply." in found["remedy"]
    as_account("rollback", journal, "--apply", "--yes")
    assert {*states(run("rollback", "fleet", *ALL), 0).values()} == {("left-out", 0)}


def test_what_a_rollback_has_left_alone_is_said_again_until_it_is_as_it_was(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    before = {sid: dict(one.configuration or {}) for sid, one in accounts.world(1).services.items()}
    run("load", "fleet", *WRITE)
    loaded = {sid: dict(one.configuration or {}) for sid, one in accounts.world(1).services.items()}
    change(accounts.world(1))
    for words in (WRITE, WRITE, ALL):
        found = outcomes(run("rollback", "fleet", *words), 5)[1]
        assert (found["state"], found["exit_code"]) == ("failed", 5)
        assert "new_message.template of IS" in found["reason"]
    for settings, code in ((loaded, 5), (before, 0)):
        for sid, configuration in settings.items():
            accounts.world(1).services[sid].configuration = configuration
        assert outcomes(run("rollback", "fleet", *ALL), code)[1]["exit_code"] == code
    accounts.world(1).services.clear()
    assert outcomes(run("rollback", "fleet", *ALL), 0)[1]["reason"] == "it was undone"


def test_an_earlier_plan_that_is_still_live_is_not_taken_for_undone(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    run("load", "fleet", *WRITE)
    config = folder_of(1) / "mapped" / "push-config.yaml"
    config.write_text(config.read_text("utf-8").replace('template: "${PARTICIPANT}: ', 'template: "'), "utf-8")
    run("load", "fleet", *ALL)
    run("load", "fleet", *WRITE)
    undone = run("rollback", "fleet", *WRITE)
    assert states(undone, 6) == {1: ("done", 6), 2: ("done", 0), 3: ("done", 0)}
    assert "plan.json; the same command undoes it" in undone.stderr
    assert states(run("rollback", "fleet", *WRITE), 0)[1] == ("done", 0)


@pytest.mark.parametrize("lost", ["fleet.json", "applied.html"])
def test_what_was_written_is_shown_although_the_fleets_own_files_cannot_be(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch, lost: str
) -> None:
    run("run", *ALL, "--out", "fleet")
    place = Path("fleet") / lost

    def is_terminal() -> bool:
        """By the time that it is asked, something else lies where the file is to be."""
        place.unlink(missing_ok=True) if place.is_file() else None
        place.mkdir(exist_ok=True)
        return True

    environment.setattr("migrate.cli.commands.applying._is_terminal", is_terminal)
    done = typing("3 3\n", "load", "fleet", "--apply", *ALL)
    assert done.exit_code == 1, done.output
    assert accounts.writes == {sid_of(number): 1 for number in (1, 2, 3)}
    assert {one["state"] for one in json.loads(done.stdout)["accounts"]} == {"done"}
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"Error: fleet/{lost} cannot be written: is a directory. What was done is ")
    assert Path("fleet/applied.md").exists() == (lost == "fleet.json")


def test_a_report_that_cannot_be_written_hides_no_failure(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    accounts.listed(2, refuses=True)
    Path("fleet/verified.html").mkdir()
    done = run("verify", "fleet", *ALL)
    assert states(done, 1) == {1: ("done", 0), 2: ("failed", 1), 3: ("done", 0)}
    *_, warning, error = done.stderr.splitlines()
    assert warning == "Warning: fleet/verified.html cannot be written: is a directory"
    assert error.startswith("Error: 1 of 3 accounts is not finished: ")


def test_a_folder_that_does_not_exist_is_no_fleet_and_none_is_made(run: Run, accounts: Company) -> None:
    for words in (
        ("load", "flet"),
        ("load", "flet", "--apply", "--yes"),
        ("rollback", "flet"),
        ("rollback", "flet", "--apply", "--yes"),
        ("verify", "flet"),
        ("map", "flet"),
        ("rehearse", "flet"),
        ("diff", "flet", "flet"),
    ):
        typo = run(*words, "--accounts")
        assert (typo.exit_code in (1, 2), typo.stdout) == (True, ""), words
        assert "flet" in typo.stderr
        assert not Path("flet").exists()
    for words in (("health", "--out", "fleet"), ("extract", "--out", "fleet")):
        assert run(*words, "--accounts").exit_code == 0
    unknown = run("map", "fleet", *ALL, "--account", sid_of(99))
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert f"fleet has no account {sid_of(99)}" in unknown.stderr
