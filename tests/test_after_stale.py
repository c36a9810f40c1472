"""Where an apply ends without what was wanted: what it says leads on, and nothing is left that was not written."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from migrate.cli.app import cli
from migrate.model.errors import TwilioError
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, Settings, dying, live, mortal
from tests.conftest import Run, Serve, service_sid

LIFTED = FORCE[:4]
THEIRS: Settings = {"new_message.sound": "theirs"}


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def server(serve: Serve, demo_world: World) -> StandInServer:
    return serve(demo_world)


@pytest.fixture
def mapped(tmp_path: Path, server: StandInServer, migration: Path) -> Path:
    shutil.copytree(migration, tmp_path / "run")
    (tmp_path / "run" / "plan.json").unlink()
    return tmp_path / "run" / "mapped"


def plans(mapped: Path) -> list[str]:
    """The plans and journals beside a mapped folder."""
    return sorted(path.name for path in mapped.parent.glob("plan*"))


def commands_of(result: Result, mapped: Path) -> list[list[str]]:
    """The commands that the last line names, in their order; what is not known there is filled in."""
    line = result.stderr.splitlines()[-1].replace("MAPPED", str(mapped))
    return [
        shlex.split(found) for found in re.findall(r"chat-migrate (.*?)(?=\. Or |\. Otherwise |, and move |$)", line)
    ]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("which", [0, 1])
def test_every_command_that_a_stale_plan_names_leads_on(
    run: Run, mapped: Path, server: StandInServer, named: bool, which: int
) -> None:
    """Whoever keeps the name of the plan, and then does what each line says, the first or the second, gets through."""
    plan = mapped.parent / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    server.world.services[service_sid(7)].configuration = THEIRS
    stale = run("load", "--plan", plan, "--apply", "--yes", *LIFTED)
    assert stale.exit_code == 5
    steps = [["load", str(mapped), "--plan-out", str(plan)]] if named else commands_of(stale, mapped)
    seen: list[list[str]] = []
    while steps:
        command = steps[min(which, len(steps) - 1)]
        assert command not in seen, f"a circle: {seen}"
        seen.append(command)
        done = run(*command, *(["--yes", *LIFTED] if "--apply" in command else []))
        steps = commands_of(done, mapped) if done.exit_code else []
    found = Path(command[command.index("--plan-out") + 1])
    assert run("load", "--plan", found, "--apply", "--yes", *LIFTED).exit_code == 0
    assert run("load", mapped, "--detailed-exitcode").exit_code == 0


def test_a_saved_plan_that_is_looked_at_and_stale_names_a_free_file(
    run: Run, mapped: Path, server: StandInServer
) -> None:
    plan = mapped.parent / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    server.world.services[service_sid(7)].configuration = THEIRS
    looked = run("load", "--plan", plan)
    assert (looked.exit_code, f"since it was planned: {service_sid(7)}. Nothing was written" in looked.stderr) == (
        5,
        True,
    )
    (command,) = commands_of(looked, mapped)
    assert command[:4] == ["load", str(mapped), "--plan-out", str(mapped.parent / "plan-2.json")]
    assert run(*command).exit_code == 0
    (mapped.parent / "plan-3.journal.jsonl").write_text("")
    assert str(mapped.parent / "plan-4.json") in run("load", "--plan", plan).stderr


def test_the_remedy_names_the_mapped_folder_that_was_given(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.post

    def meanwhile(api: TwilioApi, *arguments: Any) -> Any:
        server.world.services[service_sid(7)].configuration = THEIRS
        return real(api, *arguments)

    monkeypatch.setattr(TwilioApi, "post", meanwhile)
    stale = run("load", mapped, "--apply", "--yes", *LIFTED, "--concurrency", "3")
    assert stale.exit_code == 5
    (command,) = commands_of(stale, mapped)
    assert command[:2] == ["load", str(mapped)]
    assert command[-2:] == ["--concurrency", "3"]
    assert run(*command).exit_code == 0


@pytest.mark.parametrize("answer", ["no\n", "", None])
def test_a_plan_that_was_not_confirmed_is_not_left_behind(
    mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    monkeypatch.setattr("migrate.cli.commands.applying._is_terminal", lambda: answer is not None)
    left = CliRunner().invoke(cli, ["load", str(mapped), "--apply", *LIFTED], input=answer or "")
    assert (left.exit_code, server.world.writes, plans(mapped)) == (130 if answer == "" else 4, [], [])
    assert "Nothing was written" in left.stderr


def test_a_plan_that_is_refused_is_not_left_behind(run: Run, mapped: Path) -> None:
    refused = run("load", mapped, "--apply", "--yes")
    assert (refused.exit_code, plans(mapped)) == (4, [])


def test_a_plan_whose_journal_cannot_be_begun_is_not_left_behind(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SyncedLog, "held", full)
        stopped = run("load", mapped, "--apply", "--yes", *LIFTED)
    assert (stopped.exit_code, server.world.writes, plans(mapped)) == (1, [], [])
    assert run("load", mapped, "--apply", "--yes", *LIFTED).exit_code == 0


def test_where_others_were_everywhere_nothing_is_left_and_the_same_command_starts_again(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everywhere(*_: Any) -> Any:
        for service in server.world.services.values():
            service.configuration = THEIRS

    monkeypatch.setattr("migrate.load.apply.prove_account", everywhere)
    stale = run("load", mapped, "--apply", "--yes", *LIFTED)
    assert (stale.exit_code, server.world.writes, plans(mapped)) == (5, [], [])
    assert "are not as planned: " in stale.stderr
    assert ". Nothing was written. Make a new plan with: " in stale.stderr
    (command,) = commands_of(stale, mapped)
    assert run(*command).exit_code == 0


def test_where_nothing_could_be_read_the_same_command_is_named(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise TwilioError("closed", status=403)

    with monkeypatch.context() as patch:
        patch.setattr("migrate.load.apply.read_live", fail)
        failed = run("load", mapped, "--apply", "--yes", *LIFTED)
    assert (failed.exit_code, plans(mapped)) == (1, [])
    (command,) = commands_of(failed, mapped)
    assert command[:2] == ["load", str(mapped)]
    assert run(*command).exit_code == 0


def test_a_plan_that_was_begun_is_kept_and_its_command_resumes(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", interrupted)
        left = run("load", mapped, "--apply", "--yes", *LIFTED, "--concurrency", "3", "--retry-budget", "7")
    assert (left.exit_code, "0 of 4 services are written" in left.stderr, len(plans(mapped))) == (130, True, 2)
    (command,) = commands_of(left, mapped)
    assert [command[command.index(name) + 1] for name in ("--concurrency", "--retry-budget")] == ["3", "7.0"]
    assert run(*command).exit_code == 0


@pytest.mark.parametrize("command", ["load", "rollback"])
def test_ctrl_c_before_the_question_says_that_nothing_was_written(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    (journal,) = mapped.parent.glob("*.journal.jsonl")
    before, writes = live(server.world), len(server.world.writes)

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(TwilioApi, "get", interrupted)
    left = run(command, mapped if command == "load" else journal, "--apply", "--yes")
    assert (left.exit_code, "Interrupted. Nothing was written. Resume with: " in left.stderr) == (130, True)
    assert (live(server.world), len(server.world.writes)) == (before, writes)


def test_ctrl_c_after_a_write_does_not_say_so(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where all is done, and the result is being shown."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.report.applied.applied_view", interrupted)
    left = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (left.exit_code, len(server.world.writes)) == (130, 5)
    assert "Nothing was written" not in left.stderr
    assert "What was written, if anything was, is in the journal" in left.stderr


def test_a_plan_that_is_partly_applied_says_so_in_the_fields_words(
    run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert mortal("load", mapped, "--apply", "--yes", *FORCE).exit_code == -9
    refused = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (refused.exit_code, "is partly applied. Nothing was written. Resume with: " in refused.stderr) == (4, True)
    resume, undo = commands_of(refused, mapped)
    assert (run(*resume).exit_code, undo[0]) == (0, "rollback")
