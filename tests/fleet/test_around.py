"""What comes before and after the load of a fleet: another folder, differences, rehearsals, health, and checks."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from migrate.fleet.fleet import Fleet, FleetOptions, offline_fleet
from migrate.fleet.folder import read_fleet
from migrate.model.errors import InputError, UsageError
from migrate.push_errors.measuring import HealthOptions
from migrate.twilio_api.accounts import AccountChoice
from tests.fleet.conftest import OPTIONS, Start, sid_of
from tests.fleet.test_stages import states, yes


def test_offline_stages_take_the_accounts_from_the_folder(company: Start, tmp_path: Path) -> None:
    folder, later, firm = tmp_path / "fleet", tmp_path / "later", company(3, refused=[3])
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
    (folder / sid_of(2) / "mapped" / "push-config.yaml").write_text(
        (folder / sid_of(2) / "mapped" / "push-config.yaml")
        .read_text("utf-8")
        .replace("enabled: true", "enabled: false"),
        "utf-8",
    )
    mapped = offline_fleet(folder).map(later, like=folder)
    assert states(mapped) == {"01": ("done", 0), "02": ("done", 0), "03": ("failed", 1)}
    assert read_fleet(later).accounts.keys() == read_fleet(folder).accounts.keys()
    assert states(offline_fleet(folder).diff(later)) == {"01": ("done", 0), "02": ("done", 0), "03": ("left-out", 0)}
    plain = offline_fleet(folder, [sid_of(2)]).map(overwrite=True)
    assert states(plain) == {"02": ("done", 0)}
    assert states(offline_fleet(folder).diff(later))["02"] == ("done", 3)
    assert states(offline_fleet(folder, [sid_of(1)]).diff(later, "plan"))["01"] == ("left-out", 3)
    with pytest.raises(InputError, match="has no account"):
        offline_fleet(folder, [sid_of(7)])
    (folder / sid_of(1) / "snapshot" / "manifest.json").write_text("{}")
    assert states(offline_fleet(folder).map())["01"] == ("failed", 1)
    with pytest.raises(UsageError, match="offline fleet"):
        offline_fleet(folder).open(offline_fleet(folder).accounts[0])


def test_an_account_that_was_begun_and_is_suspended_now_is_refused(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3, statuses={3: "closed"})
    with firm.fleet(folder) as fleet:
        fleet.extract(OPTIONS)
    firm.accounts |= {
        sid: type(one)(sid, one.friendly_name, "suspended", one.login)
        for sid, one in firm.accounts.items()
        if sid == sid_of(2)
    }
    with firm.fleet(folder) as fleet:
        assert states(fleet.extract(OPTIONS)) == {"01": ("earlier", 0), "02": ("left-out", 4), "03": ("left-out", 0)}
    with firm.fleet(folder, choice=AccountChoice(sids=(sid_of(1), sid_of(3)))) as fleet:
        assert states(fleet.extract(OPTIONS)) == {"01": ("earlier", 0), "03": ("left-out", 4)}


def test_the_wave_alone_is_worked_on(company: Start, tmp_path: Path) -> None:
    firm = company(3)
    with firm.fleet(tmp_path / "fleet", FleetOptions(only="1")) as fleet:
        ran = fleet.extract(OPTIONS)
    assert sorted(account.state for account in ran.accounts) == ["done", "left-out", "left-out"]
    assert len(firm.opened) == 1


def test_health_adds_a_run_in_each_account_by_its_snapshot(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(2)
    with firm.fleet(folder) as fleet:
        fleet.extract(OPTIONS)
        found = fleet.health(HealthOptions(timedelta(days=1)), fail_over=1)
    assert [account.figures for account in found.accounts] == [{"errors": 0, "live_devices": 3}] * 2
    assert len([*(folder / sid_of(1) / "health").glob("push-errors-*.parquet")]) == 1


def test_what_is_applied_in_part_is_not_planned_over(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(1)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        fleet.apply(confirm=yes)
        assert states(fleet.plan())["01"] == ("earlier", 0)  # nothing is to change since
        journal = folder / sid_of(1) / "plan.journal.jsonl"
        lines = journal.read_text("utf-8").splitlines(keepends=True)
        journal.write_text("".join(line for line in lines if "finished" not in line), "utf-8")
        planned = fleet.plan()
        assert "partly applied" in planned.accounts[0].reason
        assert states(fleet.apply(confirm=yes))["01"] == ("done", 0)
        assert [*(folder / sid_of(1)).glob("plan-*.json")] == []


@pytest.mark.long
def test_a_rehearsal_is_kept_beside_its_account(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(1)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
    held = offline_fleet(folder).rehearse(seed=1)
    assert states(held)["01"] == ("done", 0)
    assert json.loads((folder / sid_of(1) / "rehearsal.json").read_bytes())["passed"] is True


def test_a_diagnosis_is_of_each_account_and_shows_no_token(company: Start, tmp_path: Path) -> None:
    firm = company(2, refused=[2])
    del tmp_path
    from migrate.fleet.choosing import choose
    from migrate.twilio_api.connect import ApiSettings

    url = firm.servers[sid_of(1)].url
    accounts, left = choose([*firm.accounts.values()], AccountChoice(all=True), None, None)
    checked = Fleet(accounts, left, None, None, None, firm, ApiSettings(url, url, environment={})).doctor()
    assert states(checked) == {"01": ("done", 0), "02": ("failed", 1)}
    assert "token-of" not in repr(checked) + repr(checked.details)
    assert {check.name for check in checked.details[sid_of(1)]} >= {"credentials", "chat services"}
