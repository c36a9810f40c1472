"""The minute of the write: what stands above the question, what comes before it, and what an end of it leaves."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from migrate.cli.app import cli
from migrate.load.limits import LIMITS, Ground, violations
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.report.decision import Terms, plan_decision
from migrate.report.limit import MOST_SHOWN
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.applying import FORCE, live
from tests.conftest import DEMO_ACCOUNT, Run, Serve, service_sid
from tests.plans import change, hostile_plan, plan_of

LIFTED = FORCE[:4]  # without what is inferred, which makes another plan of a saved one
OFF = "OFF: removed_from_conversation"


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)


@pytest.fixture
def server(serve: Serve, demo_world: World) -> StandInServer:
    return serve(demo_world)


@pytest.fixture
def mapped(tmp_path: Path, server: StandInServer, migration: Path) -> Path:
    shutil.copytree(migration, tmp_path / "run")
    return tmp_path / "run" / "mapped"


def typing(answer: str, *arguments: object) -> Result:
    """A command whose question is answered so."""
    return CliRunner().invoke(cli, list(map(str, arguments)), input=answer, prog_name="chat-migrate")


def above_the_question(result: Result) -> str:
    """What stands on standard error before the question."""
    return result.stderr.partition("Type the number of")[0]


def test_what_is_decided_stands_just_above_the_question(mapped: Path, server: StandInServer) -> None:
    asked = typing("no\n", "load", mapped, "--apply", *FORCE)
    shown = above_the_question(asked)
    assert (asked.exit_code, server.world.writes) == (4, [])
    for told in (
        f"Account        {DEMO_ACCOUNT}\n",
        f"Conversations  {server.url}\n",
        f"  {service_sid(1)}  8 settings    Rider support    on: log_enabled, new_message,",
        "Switches off   removed_from_conversation (1 service)\n",
        f"[blockers] the findings block it: binding-gcm ({service_sid(2)})\n",
        f"[switches-off] it would switch off what is on now (1): removed_from_conversation.enabled of {service_sid(7)}\n",
        "[inferred] 2 settings that Chat does not state\n",
        "in full with -v, or look without --apply first\n",
    ):
        assert told in shown, told
    (first,) = re.findall(rf"^  IS\w+ .*{OFF}.*$", shown, re.MULTILINE)
    assert service_sid(7) in first
    assert shown.index(first) < shown.index(service_sid(1)), "what goes off comes first"
    assert re.search(r"Findings       1 blocker, \d+ warnings of \d+ kinds, [^\n]*\n$", shown), "last of all"


def test_findings_are_counted_and_with_v_in_full(mapped: Path) -> None:
    short, whole = (typing("no\n", "load", mapped, "--apply", *FORCE, *more).stdout for more in ((), ("-v",)))
    assert ("blocker  binding-gcm" in short, "blocker  binding-gcm" in whole) == (False, True)
    assert "new_message.template" in short


def test_where_findings_can_be_read_is_a_file_that_is_there(tmp_path: Path, run: Run, mapped: Path) -> None:
    report, plan = tmp_path / "r.html", tmp_path / "p.json"
    asked = typing("no\n", "load", mapped, "--apply", *FORCE, "--report", report)
    assert f"in full with -v, or see {report}\n" in asked.stderr
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    assert f"in full with -v, or see {plan}\n" in typing("no\n", "load", "--plan", plan, "--apply", *LIFTED).stderr


def test_a_program_that_reads_json_finds_nothing_else_on_standard_output(mapped: Path) -> None:
    asked = typing("no\n", "load", mapped, "--apply", "--json", *FORCE)
    assert (asked.stdout, DEMO_ACCOUNT in asked.stderr) == ("", True)
    done = typing("", "load", mapped, "--apply", "--yes", "--json", *FORCE)
    assert [one["verdict"] for one in json.loads(done.stdout)["applied"]] == ["applied"] * 5
    assert "Account" not in done.stderr


def test_a_rollback_says_what_it_switches_off(run: Run, mapped: Path, server: StandInServer) -> None:
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    (journal,) = mapped.parent.glob("*.journal.jsonl")
    shown = above_the_question(typing("no\n", "rollback", journal, "--apply"))
    assert "To be undone: " in shown
    assert f"  {service_sid(5)}  3 settings    Fleet office    OFF: new_message, " in shown
    assert f"Conversations  {server.url}\n" in shown


def test_thousands_of_services_leave_account_and_host_above_the_question() -> None:
    plan = plan_of(tuple(change(number, f"Service {number}") for number in range(1, 5_001)))
    terms = Terms(plan.account_sid, [("Conversations", plan.target)], [], "see plan.json")
    shown = plan_decision(plan, terms).plain.splitlines()
    assert sum(line.startswith("  IS") for line in shown) == MOST_SHOWN
    assert "  … and 4,980 more services, of 5,000 in all: see plan.json" in shown
    tail = "\n".join(shown[-8:])
    assert plan.account_sid in tail
    assert plan.target in tail
    assert "new_message (5,000 services)" in tail


def test_credentials_are_told_apart_by_what_becomes_of_them() -> None:
    credentials = hostile_plan("Push", "x", "y").credentials
    terms = Terms(DEMO_ACCOUNT, [], [("other-account", "it was made for account A")], "see plan.json")
    shown = plan_decision(plan_of((), credentials=credentials), terms).plain
    assert "  + a new fcm credential  \x1e  Push\n" in shown
    assert "  ~ CR1" in shown
    assert "Credentials  \t1 created, 3 updated\n" in shown
    assert "[other-account] it was made for account A\n" in shown
    assert "Switches" not in shown


@pytest.mark.parametrize("number", [1, 5, 7])
def test_every_limit_names_what_it_is_about(number: int) -> None:
    """The first few, and how many more."""
    sids = [service_sid(each) for each in range(1, number + 1)]
    found = [
        *(Finding("binding-gcm", sid, "x") for sid in sids),
        *(Finding("change-disables", sid, "new_message.enabled") for sid in sids),
        Finding("snapshot-unverified", None, "../snapshot"),
        Finding("snapshot-changed", None, "../snapshot"),
    ]
    plan = plan_of(tuple(change(each, "x") for each in range(1, number + 1)), *found)
    ground = Ground(plan, "AC" + "9" * 32, "https://elsewhere.example", _later(plan), max_services=0)
    told = dict(violations(ground))
    assert set(told) == set(LIMITS) - {"clock"}
    for limit in ("blockers", "switches-off", "many-services"):
        assert all(sid in told[limit] for sid in sids[:5]), limit
        assert not any(sid in told[limit] for sid in sids[5:]), limit
        assert ("and 2 more" in told[limit]) == (number > 5), limit
    assert all("(../snapshot)" in told[limit] for limit in ("unverified-snapshot", "changed-snapshot"))
    assert "as of 2026-06-15" in told["old-snapshot"]


def _later(plan: Plan) -> datetime:
    return datetime.fromisoformat(plan.as_of) + timedelta(days=99)


def test_a_blocker_of_the_whole_account_names_its_object(run: Run, mapped: Path) -> None:
    config = mapped / "push-config.yaml"
    sid = "CR" + "f" * 32
    text = config.read_text("utf-8").partition("\ncredentials:")[0]
    config.write_text(f"{text}\ncredentials:\n  Gone: {{type: fcm, secret: 'env:X', sid: {sid}}}\n", "utf-8")
    refused = run("load", mapped, "--apply", "--yes")
    assert refused.exit_code == 4
    assert f"credential-not-as-named ({sid} Gone)" in refused.stderr


def test_a_plan_that_was_applied_says_so_before_anything_else(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer
) -> None:
    plan = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    assert run("load", "--plan", plan, "--apply", "--yes", *LIFTED).exit_code == 0
    asked = len(server.world.writes)
    again = typing("4\n", "load", "--plan", plan, "--apply")  # beyond limits that are not lifted, too
    journal = plan.with_suffix(".journal.jsonl")
    assert (again.exit_code, again.stdout, len(server.world.writes)) == (4, "", asked)
    assert again.stderr.startswith(f"Error: This plan was applied already: {journal}. Nothing was written. ")
    assert "switch" not in again.stderr
    looked = run("load", "--plan", plan, "--detailed-exitcode")
    assert (looked.exit_code, looked.stderr) == (0, f"This plan was applied already: {journal}\n")
    assert "switches-off" not in looked.stdout.partition("Blocked by:")[2]


def test_a_rollback_that_leaves_a_strangers_setting_ends_with_5(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer
) -> None:
    plan = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    before = live(server.world)
    assert run("load", "--plan", plan, "--apply", "--yes", *LIFTED).exit_code == 0
    first = server.world.services[service_sid(1)]
    first.configuration = {**(first.configuration or {}), "new_message.sound": "theirs"}
    journal = plan.with_suffix(".journal.jsonl")
    told = f"new_message.sound of {service_sid(1)}. "
    done = run("rollback", journal, "--apply", "--yes")
    assert (done.exit_code, told in done.stderr, "What was undone is in" in done.stderr) == (5, True, True)
    assert live(server.world) == {**before, first.sid: {**before[first.sid], "new_message.sound": "theirs"}}
    again = run("rollback", journal, "--apply", "--yes")
    assert (again.exit_code, told + "Nothing was written" in again.stderr) == (5, True)
    assert "rollback-left-alone" in again.stdout
    assert run("rollback", journal).exit_code == 0


def test_a_rollback_with_nothing_left_is_no_dry_run(run: Run, mapped: Path) -> None:
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    (journal,) = mapped.parent.glob("*.journal.jsonl")
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    again = run("rollback", journal, "--apply", "--yes")
    assert (again.exit_code, "Nothing is left to undo: " in again.stdout, "Dry run" in again.stdout) == (
        0,
        True,
        False,
    )
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    nothing = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (nothing.exit_code, "Nothing to apply: " in nothing.stdout, "Dry run" in nothing.stdout) == (
        0,
        True,
        False,
    )
