"""show of a fleet's folder: its accounts, the worst first, and how far each stage is; offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from migrate.fleet.folder import NAME, FleetFolder
from migrate.fleet.outcome import AccountOutcome
from migrate.inspect.kinds import FLEET
from migrate.report.limit import MOST_SHOWN
from tests.conftest import Run

MAIN = "AC" + "f" * 32
MANY = 1_000
REASON = "Twilio refused the credentials (401)"


def sid(number: int) -> str:
    return f"AC{number:032x}"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    with FleetFolder.held(tmp_path / "fleet", MAIN) as folder:
        for number in range(MANY):
            folder.enter(sid(number), f"Customer {number}", "suspended" if number == 8 else "active")
            if number == 9:
                continue
            folder.note("extract", AccountOutcome(sid(number), "", "active", "done"))
            last = AccountOutcome(sid(number), "", "active", "done")
            if number == 7:
                last = AccountOutcome(sid(number), "", "active", "failed", 1, REASON)
            folder.note("plan", last)
    return tmp_path / "fleet"


def test_the_kind_is_known_by_the_file_that_a_fleet_writes() -> None:
    assert NAME == FLEET


def test_the_accounts_are_shown_the_worst_first_with_what_each_stage_brought(
    run: Run, fleet: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("COLUMNS", "80")
    result = run("show", fleet)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(cell_len(line) for line in lines if str(fleet) not in line) <= 80
    assert len(lines) < 4 * MOST_SHOWN
    assert lines[0] == f"failed     {sid(7)}  Customer 7"
    assert [line.strip() for line in lines[1:3]] == ["extract done · plan failed", REASON]
    assert result.stdout.index(f"not begun  {sid(9)}") < result.stdout.index(f"done       {sid(0)}")
    assert f"… and {MANY - MOST_SHOWN:,} more accounts, of {MANY:,} in all: use --json" in result.stdout
    assert f"1,000 accounts (main account {MAIN})" in result.stdout
    assert "extract   999 done; last at " in result.stdout
    assert "plan      1 failed, 998 done; last at " in result.stdout


def test_as_json_it_has_all_of_them(run: Run, fleet: Path) -> None:
    shown = json.loads(run("show", fleet, "--json").stdout)
    assert (shown["kind"], shown["main_account_sid"], len(shown["accounts"])) == ("fleet", MAIN, MANY)
    assert shown["accounts"][sid(7)]["stages"]["plan"]["reason"] == REASON
    assert shown["accounts"][sid(8)]["status"] == "suspended"


def test_a_fleet_whose_manifest_is_damaged_is_one_line(run: Run, fleet: Path) -> None:
    content = json.loads((fleet / NAME).read_bytes())
    content["accounts"][sid(1)]["stages"]["plan"]["exit_code"] = "0"
    (fleet / NAME).write_text(json.dumps(content))
    result = run("show", fleet)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"{fleet / NAME} cannot be read" in result.stderr
