"""A night of a fleet: run, apply, verify and rollback, with the state of each account's stand-in as the oracle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrate.fleet.applying import Planned
from migrate.fleet.fleet import FleetOptions, offline_fleet
from migrate.fleet.folder import read_fleet
from migrate.fleet.outcome import FleetResult
from migrate.load.journal import read_journal
from migrate.load.plan_file import read_plan
from migrate.model.errors import MigrateError, RefusedError
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from tests.fleet.conftest import OPTIONS, Start, sid_of


def states(result: FleetResult) -> dict[str, tuple[str, int]]:
    return {account.sid[-2:]: (account.state, account.exit_code) for account in result.accounts}


def yes(planned: Sequence[Planned]) -> bool:
    return True


def test_the_failure_of_some_accounts_keeps_no_other_from_its_end(company: Start, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    firm = company(
        6,
        statuses={2: "suspended", 3: "closed"},
        faults={4: Faults(most_at_once=1), 5: Faults(rate=0.1, seed=3)},
        refused=[6],
    )
    at_first = {number: firm.settings(number) for number in (1, 4, 5)}
    reported: list[str] = []
    with firm.fleet(folder) as fleet:
        ran = fleet.run(OPTIONS, on_plan=lambda sid, place, plan, refusals: reported.append(sid))
    expected = {"01": ("done", 3), "02": ("left-out", 0), "03": ("left-out", 0), "04": ("done", 3), "05": ("done", 3)}
    assert states(ran) == {**expected, "06": ("failed", 1)}
    assert ran.exit_code == 1
    failure = ran.failure()
    assert failure
    assert f"1 of 6 accounts is not finished: {sid_of(6)}" in failure.what
    assert sorted(reported) == [sid_of(1), sid_of(4), sid_of(5)]
    for number in at_first:
        assert read_snapshot(folder / sid_of(number) / "snapshot").manifest.rows == 3
        assert firm.settings(number) == at_first[number]

    asked: list[list[str]] = []

    def confirm(planned: Sequence[Planned]) -> bool:
        asked.append([one.sid for one in planned])
        return True

    with firm.fleet(folder, FleetOptions(only="100%")) as fleet:
        applied = fleet.apply(confirm=confirm)
    assert asked == [[sid_of(1), sid_of(4), sid_of(5)]]
    assert {**states(applied), "06": ()} == {
        **expected,
        "01": ("done", 0),
        "04": ("done", 0),
        "05": ("done", 0),
        "06": (),
    }
    assert states(applied)["06"][0] == "failed"
    for number in at_first:
        plan = read_plan(folder / sid_of(number) / "plan.json")
        assert read_journal(folder / sid_of(number) / "plan.journal.jsonl").finished
        assert len(plan.changes) == 1
        assert firm.settings(number) != at_first[number]

    with firm.fleet(folder) as fleet:
        again = fleet.apply(confirm=lambda planned: pytest.fail("nothing is left to ask for"))
        verified = fleet.verify()
    assert states(again)["01"] == ("earlier", 0)
    assert next(one for one in verified.accounts if one.sid == sid_of(1)).figures == {"expected": 3, "ready": 0}

    with firm.fleet(folder) as fleet:
        looked = fleet.rollback_look()
        assert states(looked)["01"] == ("done", 3)
        undone = fleet.rollback(confirm=yes)
    assert states(undone)["04"] == ("done", 0)
    assert {number: firm.settings(number) for number in at_first} == at_first
    with firm.fleet(folder) as fleet:
        assert states(fleet.rollback(confirm=yes))["05"] == ("earlier", 0)
        assert states(fleet.apply(confirm=yes))["05"] == ("failed", 4)
        assert states(fleet.plan())["05"] == ("done", 3)
        assert (folder / sid_of(5) / "plan-2.json").exists()
        assert states(fleet.apply(confirm=yes))["05"] == ("done", 0)

    written = (folder / "fleet.json").read_text("utf-8")
    assert "token" not in written.replace("TWILIO_AUTH_TOKEN", "")
    assert read_fleet(folder).accounts[sid_of(2)].status == "suspended"
    assert json.dumps(ran.to_json())
    offline = offline_fleet(folder, [sid_of(1)])
    assert states(offline.map()) == {"01": ("earlier", 0)}


def test_what_an_earlier_run_has_finished_is_not_done_again(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3, refused=[3])

    def report(sid: str, place: Path, *_: object) -> None:
        for name in ("report.html", "report.md"):
            (place / name).write_text("")

    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS, on_plan=report)
    (folder / "fleet.json").unlink()  # it decides nothing
    requests = {sid: server.world.requests for sid, server in firm.servers.items()}
    with firm.fleet(folder) as fleet:
        again = fleet.run(OPTIONS, on_plan=report)
    assert states(again) == {"01": ("earlier", 3), "02": ("earlier", 3), "03": ("failed", 1)}
    assert {sid: firm.servers[sid].world.requests for sid in (sid_of(1), sid_of(2))} == {
        sid: requests[sid] + 1
        for sid in (sid_of(1), sid_of(2))  # the time, by which a plan is judged again
    }


def test_a_plan_that_is_not_the_one_that_was_shown_is_not_written(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(4)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
    before = {number: firm.settings(number) for number in range(1, 5)}
    strange = (folder / sid_of(4) / "plan.json").read_bytes()
    (folder / sid_of(3) / "plan.json").write_bytes(strange)
    config = folder / sid_of(2) / "mapped" / "push-config.yaml"
    config.write_text(config.read_text("utf-8").replace("enabled: true", "enabled: false"), "utf-8")

    def confirm(planned: Sequence[Planned]) -> bool:
        assert [one.sid for one in planned] == [sid_of(1), sid_of(4)]
        (folder / sid_of(4) / "plan.json").write_bytes((folder / sid_of(1) / "plan.json").read_bytes())
        return True

    with firm.fleet(folder) as fleet:
        applied = fleet.apply(confirm=confirm)
    assert states(applied) == {"01": ("done", 0), "02": ("failed", 5), "03": ("failed", 4), "04": ("failed", 4)}
    assert {number: firm.settings(number) for number in (2, 3, 4)} == {number: before[number] for number in (2, 3, 4)}
    assert firm.settings(1) != before[1]


def test_no_more_accounts_are_written_to_than_were_agreed_to(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
    before = {number: firm.settings(number) for number in range(1, 4)}
    with firm.fleet(folder, FleetOptions(max_accounts=2)) as fleet, pytest.raises(RefusedError, match="3 accounts"):
        fleet.apply(confirm=yes)
    with firm.fleet(folder) as fleet, pytest.raises(RefusedError, match="not confirmed"):
        fleet.apply(confirm=lambda planned: False)
    assert {number: firm.settings(number) for number in range(1, 4)} == before
    with firm.fleet(folder) as fleet:
        one = fleet.apply(confirm=lambda planned: planned[0].sid == sid_of(2), one_by_one=True)
    assert states(one) == {"01": ("left-out", 4), "02": ("done", 0), "03": ("left-out", 4)}
    assert [number for number in range(1, 4) if firm.settings(number) != before[number]] == [2]


def test_no_account_is_begun_once_too_many_have_failed(company: Start, tmp_path: Path) -> None:
    firm = company(5, refused=[1, 2])
    with firm.fleet(tmp_path / "fleet", FleetOptions(stop_after=1, at_a_time=1)) as fleet:
        ran = fleet.extract(OPTIONS)
    assert firm.opened == [sid_of(1), sid_of(2)]
    assert [account.state for account in ran.accounts] == ["failed", "failed", *["not-begun"] * 3]
    assert ran.exit_code == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("sk-secret"), OSError(28, "No space left on device", "/x")])
def test_what_was_not_expected_ends_one_account_and_shows_no_secret(
    company: Start, tmp_path: Path, error: Exception
) -> None:
    firm = company(2)

    def before(sid: str) -> None:
        if sid == sid_of(1):
            raise error

    firm.before = before
    with firm.fleet(tmp_path / "fleet") as fleet:
        ran = fleet.extract(OPTIONS)
    assert states(ran) == {"01": ("failed", 1), "02": ("done", 0)}
    found = ran.accounts[0]
    assert isinstance(found.error, MigrateError)
    assert "sk-secret" not in str(found.error) + found.reason
    assert type(error).__name__ in found.reason or "no space left" in found.reason


def test_an_interruption_ends_all_and_the_same_call_goes_on(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3)

    def before(sid: str) -> None:
        if sid == sid_of(2):
            raise KeyboardInterrupt

    firm.before = before
    with firm.fleet(folder, FleetOptions(at_a_time=1)) as fleet, pytest.raises(MigrateError) as ended:
        fleet.run(OPTIONS)
    assert ended.value.exit_code == 130
    assert isinstance(ended.value.result, FleetResult)
    assert states(ended.value.result)["02"] == ("interrupted", 130)
    firm.before = lambda sid: None
    with firm.fleet(folder) as fleet:
        assert states(fleet.run(OPTIONS)) == {f"{number:02}": ("done", 3) for number in range(1, 4)}
