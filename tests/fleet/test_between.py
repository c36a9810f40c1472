"""What changes between the question and the write, and what an account's plans and journals say of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from migrate.fleet.applying import Planned
from migrate.fleet.choosing import choose
from migrate.fleet.fleet import Fleet, FleetOptions
from migrate.fleet.outcome import FleetResult
from migrate.model.errors import RefusedError
from tests.fleet.conftest import EVERYONE, OPTIONS, Start, sid_of
from tests.fleet.test_refusals import change
from tests.fleet.test_stages import states, yes


def reason(result: FleetResult, number: int) -> str:
    return next(one.reason for one in result.accounts if one.sid == sid_of(number))


def edit(folder: Path, number: int) -> None:
    """Decide something else for an account."""
    config = folder / sid_of(number) / "mapped" / "push-config.yaml"
    config.write_text(config.read_text("utf-8").replace('template: "${PARTICIPANT}: ', 'template: "'), "utf-8")


def once(act: Callable[[], object]) -> Callable[[Sequence[Planned]], bool]:
    """Agree to all, after `act` was done the first time."""
    left = [act]

    def confirm(planned: Sequence[Planned]) -> bool:
        if left:
            left.pop()()
        return True

    return confirm


def test_what_was_not_shown_is_not_written_although_it_was_agreed_to(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(2)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        before = firm.settings(1)

        def plan_again() -> None:
            edit(folder, 1)
            assert states(fleet.plan())["01"] == ("done", 3)

        applied = fleet.apply(confirm=once(plan_again))
        assert states(applied) == {"01": ("failed", 5), "02": ("done", 0)}
        assert "was replaced after it was shown" in reason(applied, 1)
        assert firm.settings(1) == before
        assert states(fleet.apply(confirm=yes)) == {"01": ("done", 0), "02": ("earlier", 0)}
        after = firm.settings(2)

        def undone_elsewhere() -> None:
            assert states(fleet.rollback(confirm=yes)) == {"01": ("done", 0), "02": ("done", 0)}

        undone = fleet.rollback(confirm=once(undone_elsewhere))
        assert states(undone) == {"01": ("earlier", 0), "02": ("earlier", 0)}
        assert firm.settings(1) == before
        assert firm.settings(2) != after


def test_a_rollback_that_was_overtaken_leaves_that_account_alone(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(2)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        fleet.apply(confirm=yes)
        undone = fleet.rollback(confirm=once(lambda: change(firm.servers[sid_of(1)].world)))
        assert states(undone) == {"01": ("failed", 5), "02": ("done", 0)}
        (settings,) = firm.settings(1).values()
        assert settings["new_message.template"] == "theirs"


def test_each_plan_is_undone_by_itself_and_the_same_call_undoes_the_earlier_one(
    company: Start, tmp_path: Path
) -> None:
    folder, firm = tmp_path / "fleet", company(1)
    at_first = firm.settings(1)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        fleet.apply(confirm=yes)
        applied = firm.settings(1)
        edit(folder, 1)
        fleet.plan()
        assert states(fleet.apply(confirm=yes)) == {"01": ("done", 0)}
        assert firm.settings(1) != applied
        undone = fleet.rollback(confirm=yes)
        assert states(undone) == {"01": ("done", 6)}
        assert "plan.json; the same command undoes it" in reason(undone, 1)
        assert firm.settings(1) == applied
        assert states(fleet.rollback(confirm=yes)) == {"01": ("done", 0)}
        assert firm.settings(1) == at_first


def test_a_rollback_that_is_not_finished_is_finished_before_anything_else(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(1)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        fleet.apply(confirm=yes)
        fleet.rollback(confirm=yes)
        (undo,) = (path for path in (folder / sid_of(1)).glob("*.jsonl") if path.name != "plan.journal.jsonl")
        lines = undo.read_text("utf-8").splitlines(keepends=True)
        undo.write_text("".join(line for line in lines if "finished" not in line), "utf-8")
        for done in (fleet.plan(), fleet.apply(confirm=yes)):
            assert states(done) == {"01": ("failed", 4)}
        assert "rollback" in reason(done, 1)
        assert states(fleet.rollback(confirm=yes))["01"] == ("earlier", 0)
        assert states(fleet.apply(confirm=yes))["01"] == ("failed", 4)
        assert states(fleet.plan())["01"] == ("done", 3)


def test_one_by_one_no_further_account_is_asked_for_once_too_many_have_failed(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3)
    asked: list[str] = []

    def confirm(planned: Sequence[Planned]) -> bool:
        (one,) = planned
        asked.append(one.sid)
        if len(asked) == 1:
            raise RefusedError("There is no terminal to ask on", remedy="Use --yes")
        change(firm.servers[one.sid].world)
        return True

    with firm.fleet(folder, FleetOptions(stop_after=0)) as fleet:
        fleet.run(OPTIONS)
        done = fleet.apply(confirm=confirm, one_by_one=True)
    assert asked == [sid_of(1), sid_of(2)]
    assert states(done) == {"01": ("left-out", 4), "02": ("failed", 5), "03": ("not-begun", 4)}


def test_what_was_set_back_by_hand_needs_no_undo(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(1)
    world = firm.servers[sid_of(1)].world
    at_first = {sid: dict(service.configuration or {}) for sid, service in world.services.items()}
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        fleet.apply(confirm=yes)
        for sid, configuration in at_first.items():
            world.services[sid].configuration = configuration
        writes = len(world.writes)
        assert states(fleet.rollback(confirm=yes))["01"] == ("earlier", 0)
        assert len(world.writes) == writes


def test_a_fleet_without_a_folder_can_only_be_diagnosed(company: Start) -> None:
    firm = company(1)
    accounts, left = choose([*firm.accounts.values()], EVERYONE, None, None)
    done = Fleet(accounts, left, apis=firm).extract(OPTIONS)
    assert states(done) == {"01": ("failed", 2)}
    assert "can only be diagnosed" in reason(done, 1)
