"""Kills and Ctrl-C in the middle of a fleet's work: the same command finishes it, each row and each write once."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from migrate.fleet.folder import read_fleet
from migrate.snapshot.reader import read_snapshot
from migrate.standin.company import Company, Member
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from tests.applying import live
from tests.company import MAIN, MAIN_TOKEN, sid_of, token_of
from tests.conftest import Run, tiny_world
from tests.mortal import Child, children
from tests.whole import ending, program, wait_until, whole

pytestmark = pytest.mark.long

SIZES = ((300, 120, 40), (35, 1), (8,), (), (60, 60))  # of each account's services, in bindings
SIDS = [sid_of(number) for number in range(1, len(SIZES) + 1)]
BY_CTRL_C = {"done", "earlier", "interrupted", "not-begun", "left-out"}
PAGES = ("--page-size", 10)
State = dict[str, Any]


def world_of(number: int, counts: tuple[int, ...]) -> dict[str, Any]:
    content = tiny_world() | {"account_sid": sid_of(number), "auth_token": token_of(number)}
    (like,) = content["services"]
    services = [{**like, "bindings": [{"count": count, "identity": "person-{n}"}]} for count in counts]
    return {**content, "services": services}


@contextmanager
def served(environment: pytest.MonkeyPatch, tmp_path: Path, latency: float = 0) -> Iterator[Company]:
    """The accounts of `SIZES`, and the command line pointed at them."""
    members = [
        Member(make_world(world_of(number, counts)), f"Customer {number}") for number, counts in enumerate(SIZES, 1)
    ]
    main = make_world(tiny_world() | {"account_sid": MAIN, "auth_token": MAIN_TOKEN})
    company = Company(main, tuple(members))
    with StandInServer(company, PageSizes("docs"), faults=Faults(latency=latency)) as server:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
        environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)
        environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
        yield company


def requests(company: Company) -> int:
    return sum(one.world.requests for one in company.members)


def writes(company: Company) -> Counter[str]:
    """How often each address of each account was written to."""
    return Counter(f"{one.world.account_sid} {line}" for one in company.members for line in one.world.writes)


def settings(company: Company) -> State:
    return {one.world.account_sid: live(one.world) for one in company.members}


def is_consistent(fleet: Path) -> bool:
    """Whether there is a fleet's folder; fleet.json is whole then, and names every account."""
    if not (fleet / "fleet.json").exists():
        return False
    return [*read_fleet(fleet).accounts] == SIDS


def states(fleet: Path, stage: str) -> dict[str, str]:
    found = read_fleet(fleet).accounts
    return {sid: one.stages[stage].state for sid, one in found.items() if stage in one.stages}


def is_same(one: Path, other: Path) -> bool:
    """Whether two finished snapshots of an account have the same rows, each once."""
    if not read_snapshot(other).manifest.rows:
        return read_snapshot(one).manifest.rows == 0
    return bool(whole(one).equals(whole(other)))


def stopped(number: signal.Signals, told: str, code: int) -> None:
    """It was killed; or it has said in one line that it was interrupted."""
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL, told
        return
    assert code == 130, told
    assert "Traceback" not in told
    lines = [line for line in told.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, told
    assert lines[0].startswith("Error: Interrupted"), told


def stop_at(company: Company, count: Callable[[], int], more: int, number: signal.Signals, *words: object) -> bool:
    """Run a command, and send the signal once so much more was counted; whether it came in time."""
    wanted = count() + more
    with ending(program(*words)) as process:
        if not wait_until(process, lambda: count() >= wanted):
            return False
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    if process.returncode == 0:  # it was just through
        return False
    stopped(number, told, process.returncode)
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_extract_that_is_stopped_at_any_request_has_every_row_once_in_the_end(
    run: Run, environment: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    with served(environment, tmp_path, latency=0.01) as company:
        assert run("extract", "--accounts", "--out", tmp_path / "undisturbed", *PAGES).exit_code == 0
        needed, fleet = requests(company), tmp_path / "fleet"
        words = ("extract", "--accounts", "--out", fleet, *PAGES)
        stops, chance = 0, random.Random(number)
        for _ in range(4):
            stops += stop_at(company, partial(requests, company), chance.randint(1, needed), number, *words)
            assert is_consistent(fleet)
            if number == signal.SIGINT:
                assert {*states(fleet, "extract").values()} <= BY_CTRL_C
        assert stops > 0
        assert run(*words).exit_code == 0
        for sid in SIDS:
            assert is_same(fleet / sid / "snapshot", tmp_path / "undisturbed" / sid / "snapshot"), sid
        before = requests(company)
        assert run(*words).exit_code == 0
        assert requests(company) == before, "what is finished is not asked for again"
        assert {*states(fleet, "extract").values()} == {"earlier"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_apply_and_a_rollback_that_are_stopped_at_any_write_write_each_service_once(
    run: Run, environment: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    fleet, stops = tmp_path / "fleet", 0
    with served(environment, tmp_path, latency=0.03) as company:
        at_first = settings(company)
        assert run("run", "--accounts", "--out", fleet).exit_code == 0
        for times, stage in ((1, "load"), (2, "rollback")):
            words = (stage, fleet, "--accounts", "--apply", "--yes")
            for more in (1, 2, 3):
                before = writes(company).total()
                stops += stop_at(company, lambda: writes(company).total(), more, number, *words)
                assert is_consistent(fleet)
                assert before <= writes(company).total() <= times * sum(map(len, SIZES))
                noted = "apply" if stage == "load" else stage
                if number == signal.SIGINT:
                    assert {*states(fleet, noted).values()} <= BY_CTRL_C
            done = run(*words)
            assert done.exit_code == 0, done.output
            assert [*states(fleet, noted)] == SIDS
            assert {*writes(company).values()} == {times}
            assert len(writes(company)) == sum(map(len, SIZES))
            assert (settings(company) == at_first) is (stage == "rollback")
        assert run("load", fleet, "--accounts").exit_code == 0, "what is undone can be planned again"
    assert stops > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stop_at_any_step_of_the_work_on_the_disk_loses_and_repeats_nothing(
    run: Run, environment: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    chance, stops, told = random.Random(int(number)), Counter[str](), tmp_path / "told"
    with served(environment, tmp_path) as company, children() as family:
        at_first, fleet = settings(company), tmp_path / "fleet"
        assert run("extract", "--accounts", "--out", tmp_path / "undisturbed", *PAGES).exit_code == 0
        stages: list[tuple[str, list[str]]] = [
            ("run", ["run", "--accounts", "--out", str(fleet), *map(str, PAGES)]),
            ("load", ["load", str(fleet), "--accounts", "--apply", "--yes"]),
            ("rollback", ["rollback", str(fleet), "--accounts", "--apply", "--yes"]),
        ]
        for stage, words in stages:
            for _ in range(5):
                step, when = chance.randint(1, 60), chance.choice(["before", "middle"])
                (code,) = family.run(Child(words, str(told), 25, step, "", when, number))
                if code != 0:
                    stopped(number, told.read_text(), code)
                    stops[stage] += 1
                if (fleet / "fleet.json").exists():
                    assert is_consistent(fleet)
            assert family.run(Child(words, str(told), 25)) == [0], told.read_text()
            if stage == "run":
                for sid in SIDS:
                    assert is_same(fleet / sid / "snapshot", tmp_path / "undisturbed" / sid / "snapshot"), sid
                assert not writes(company)
            else:
                assert {*writes(company).values()} == {1 if stage == "load" else 2}
        assert settings(company) == at_first
        assert run("load", fleet, "--accounts").exit_code == 0, "what is undone can be planned again"
    assert set(stops) == {"run", "load", "rollback"}, stops
