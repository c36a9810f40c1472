"""A fleet that is asked, interrupted or stopped says what is written and what is not, and how to resume."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import pytest

from tests.company import Company, company, outcomes, sid_of, states
from tests.conftest import Run
from tests.test_fleet_commands import typing

ALL = ("--accounts", "--json")
WRITE = ("--apply", "--yes", *ALL)


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    environment.chdir(tmp_path)
    with company(environment, 4) as found:
        yield found


def interrupted(*_: object, **__: object) -> Never:
    raise KeyboardInterrupt


def after(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, and Ctrl-C once it is done."""

    def called(*arguments: Any, **how: Any) -> Never:
        call(*arguments, **how)
        raise KeyboardInterrupt

    return called


def test_ctrl_d_at_a_later_question_says_what_was_written_before(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    at_first = typing("", "load", "fleet", "--apply", "--one-by-one", *ALL)
    assert states(at_first, 130).keys() == {1, 2, 3, 4}
    assert "Nothing was written" in at_first.stderr.splitlines()[-1]
    done = typing("1 1\n1 1\n", "load", "fleet", "--apply", "--one-by-one", *ALL)
    assert states(done, 130) == {1: ("done", 0), 2: ("done", 0), 3: ("done", 3), 4: ("done", 3)}
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: Interrupted at account 3 of 4. What was written is kept in fleet. Resume with: ")
    assert {*accounts.writes} == {sid_of(1), sid_of(2)}
    report = Path("fleet/applied.md").read_text("utf-8")
    assert "**2 pending, 2 done**" in report
    rest = typing("no\n1 1\n", "load", "fleet", "--apply", "--one-by-one", *ALL)
    assert states(rest, 4) == {1: ("earlier", 0), 2: ("earlier", 0), 3: ("left-out", 4), 4: ("done", 0)}
    assert "Nothing was written" not in rest.stderr.splitlines()[-1]


def test_ctrl_c_in_a_write_one_by_one_shows_the_others_as_pending(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    from migrate.load.apply import apply_plan

    run("run", *ALL, "--out", "fleet")
    calls = iter((apply_plan, interrupted))
    environment.setattr("migrate.fleet.applying.apply_plan", lambda *args, **how: next(calls)(*args, **how))
    done = typing("1 1\n1 1\n", "load", "fleet", "--apply", "--one-by-one", *ALL)
    assert states(done, 130) == {1: ("done", 0), 2: ("interrupted", 130), 3: ("done", 3), 4: ("done", 3)}
    assert "Interrupted at account 2 of 4. What was written is kept in fleet." in done.stderr


def test_ctrl_c_in_the_look_says_that_nothing_was_written(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    run("run", *ALL, "--out", "fleet")
    for name, words in (("look_at_plan", ("load", "fleet")), ("look_at_rollback", ("rollback", "fleet"))):
        environment.setattr(f"migrate.fleet.writing.{name}", interrupted)
        looked = run(*words, *WRITE)
        assert {*states(looked, 130).values()} == {("interrupted", 130)}
        error = looked.stderr.splitlines()[-1]
        assert error.startswith(
            "Error: Interrupted while looking at the accounts. Nothing was written. Resume with: "
        )
    assert accounts.writes == {}


def test_every_interruption_says_what_is_kept_and_how_to_resume(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    one = ("--account", sid_of(1))
    run("run", *one, "--out", "fleet")
    run("load", "fleet", *one, "--apply", "--yes")
    commands: list[tuple[str, ...]] = [
        ("doctor",),
        ("run", "--out", "fleet"),
        ("extract", "--out", "fleet"),
        ("map", "fleet"),
        ("diff", "fleet", "fleet"),
        ("load", "fleet"),
        ("load", "fleet", "--apply", "--yes"),
        ("rollback", "fleet"),
        ("rollback", "fleet", "--apply", "--yes"),
        ("verify", "fleet"),
        ("health", "--out", "fleet"),
        ("rehearse", "fleet"),
    ]
    places = {
        "listed": ("migrate.twilio_api.accounts.choose_accounts", "migrate.fleet.choosing.choose_offline"),
        "begun": ("migrate.fleet.accounts.Round.run",),
        "written down": ("migrate.report.html.fleet.fleet_page",),
        "shown": ("migrate.report.fleet.fleet_view",),
        "what comes next": ("migrate.cli.commands.fleet_shared.fleet_command",),
    }
    reports = ("run", "load", "rollback --apply", "verify", "health")
    for where, names in places.items():
        for words in commands:
            if words[0] == "rehearse" and where not in ("listed", "begun"):  # it takes seconds to get there
                continue
            with environment.context() as patched:
                for name in names:
                    patched.setattr(name, interrupted)
                done = run(*words, *one)
            if where == "written down" and not " ".join(words).replace(" fleet", "").startswith(reports):
                assert done.exit_code in (0, 4), done.output
                continue
            if where == "what comes next" and done.exit_code == 0:  # it has none
                assert "Next: " not in done.output
                continue
            error = done.stderr.splitlines()[-1]
            assert (done.exit_code, error[:18]) == (130, "Error: Interrupted"), (where, words, done.output)
            kept = (
                "" if words == ("doctor",) else r" (What was done is (shown, and )?kept in .*|Nothing was written)\."
            )
            assert re.search(rf"{kept} .*: chat-migrate {shlex.join([words[0]])} ", error), (where, error)


def test_too_many_failures_of_the_look_keep_all_from_being_written(run: Run, accounts: Company) -> None:
    run("run", *ALL, "--out", "fleet")
    for number in (1, 2):
        accounts.listed(number, refuses=True)
    refused = run("load", "fleet", *WRITE, "--stop-after", 1)
    assert states(refused, 1) == {1: ("failed", 1), 2: ("failed", 1), 3: ("done", 3), 4: ("done", 3)}
    assert "2 accounts could not be looked at, more than the 1 that may fail. Nothing was written" in refused.stderr
    assert accounts.writes == {}
    assert states(run("load", "fleet", *WRITE, "--stop-after", 2), 1)[4] == ("done", 0)
    assert {*accounts.writes} == {sid_of(3), sid_of(4)}


def test_what_a_plan_is_refused_by_is_said_by_each_run_and_every_report(run: Run, accounts: Company) -> None:
    world = accounts.world(1)
    for service in world.services.values():
        for number, binding in enumerate(service.bindings):
            service.bindings[number] = replace(binding, binding_type="gcm")
    reports = []
    for _ in range(2):
        found = outcomes(run("run", *ALL, "--out", "fleet"), 0)[1]
        assert (found["reason"], found["figures"]["refused_limits"]) == (
            "an apply would be refused: blockers",
            "blockers",
        )
        reports.append(Path("fleet/report.md").read_text("utf-8").replace("| earlier |", "| pending |"))
    assert re.search(r"refused.*blockers", reports[0]), reports[0]
    assert reports[0] == reports[1]
    run("load", "fleet", "--account", sid_of(2), "--json")
    assert f'id="{sid_of(1)}"' in Path("fleet/report.html").read_text("utf-8")
    later = Path("fleet/report.md").read_text("utf-8")
    assert re.sub(r"(; )?as of [-:TZ0-9]+", "", later) == reports[0]  # and of the others when that was
    assert later.count("as of 20") == 3
    assert Path("fleet/report.html").read_text("utf-8").count("as of 20") == 3
    before = Path("fleet/report.md").read_bytes()
    run("load", "fleet", "--account", sid_of(2), *WRITE[:2])
    assert Path("fleet/report.md").read_bytes() == before
    applied = Path("fleet/applied.md").read_text("utf-8")
    assert "**3 pending, 1 done**" in applied


def test_reviews_are_carried_over_from_a_fleet_that_has_some_or_nothing_is_done(run: Run, accounts: Company) -> None:
    run("run", "--account", sid_of(1), "--out", "fleet")
    Path("other").mkdir()
    (Path("other") / "fleet.json").write_text(
        json.dumps({"format_version": 1, "tool_version": "0", "main_account_sid": sid_of(77), "accounts": {}})
    )
    for like, why in (("nosuch", "nosuch is not a fleet's folder"), ("other", "is the fleet of main account")):
        for words in (("run", "--out", "tonight"), ("map", "fleet")):
            refused = run(*words, *ALL, "--like", like)
            assert refused.exit_code in (1, 4), refused.output
            assert (refused.stdout, why in refused.stderr) == ("", True), refused.stderr
    strange = run("run", "--account", sid_of(2), "--out", "tonight", "--like", "fleet")
    assert (strange.exit_code, "has none of these accounts" in strange.stderr) == (4, True)
    some = outcomes(run("run", *ALL, "--out", "tonight", "--like", "fleet"), 0)
    assert "nothing is carried over" in some[2]["reason"]
    assert "nothing is carried over" not in some[1]["reason"]
