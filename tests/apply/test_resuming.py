"""Deaths, interruptions and full disks: the same command resumes, and nothing is written twice."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from migrate.cli.console import Screen
from migrate.load.journal import read_journal
from migrate.model.errors import RefusedError, TwilioError
from migrate.standin.server import StandInServer
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, apply, dying, live, mortal, posts, wanted
from tests.conftest import Run, said, service_sid


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_death_at_any_step_is_gone_on_from_and_nothing_is_written_twice(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    before = live(server.world)
    desired = wanted(plan_file, before)
    configurations = {sid: service.configuration for sid, service in server.world.services.items()}
    step, steps = 1 - stride, 99
    while step < steps:
        step += stride
        for sid, service in server.world.services.items():
            service.configuration = dict(configurations[sid] or {})
        server.world.writes.clear()
        journal = plan_file.with_name(f"{step}.jsonl")
        with monkeypatch.context() as patch:
            count = dying(patch, step)
            died = apply(mortal, plan_file, "--journal", journal)
            steps = min(steps, count() if died.exit_code == 0 else 99)
        result = apply(run, plan_file, "--journal", journal)
        assert result.exit_code in (0, 4), result.output  # 4: it had died after all was done
        assert live(server.world) == desired
        assert posts(server.world) == 5
        assert run("rollback", journal, "--apply", "--yes").exit_code == 0
        assert live(server.world) == before
    assert step > 30


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_last_line_that_was_cut_short_is_dropped(
    run: Run, server: StandInServer, plan_file: Path, cut: int
) -> None:
    desired = wanted(plan_file, live(server.world))
    journal = plan_file.with_suffix(".journal.jsonl")
    assert apply(run, plan_file).exit_code == 0
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + lines[-2][:-cut])  # the last result, torn
    result = apply(run, plan_file)
    assert (result.exit_code, posts(server.world)) == (0, 5)
    assert live(server.world) == desired
    assert [entry.status for entry in read_journal(journal).entries] == ["applied"] * 5


def test_a_write_that_died_and_was_overwritten_since_is_stale(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 5)  # after the intent's line
        assert apply(mortal, plan_file).exit_code == -9
    server.world.services[service_sid(1)].configuration = {"new_message.sound": "theirs"}
    result = apply(run, plan_file)
    assert (result.exit_code, posts(server.world)) == (5, 4)
    journal = read_journal(plan_file.with_suffix(".journal.jsonl"))
    assert journal.entries[0].status == "failed"


def test_ctrl_c_tells_what_is_written_and_the_command_that_goes_on(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = TwilioApi.post, 0

    def interrupted(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(TwilioApi, "post", interrupted)
    result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (130, 1)
    assert "2 of 5 services are written" in result.stderr
    assert f"chat-migrate load --plan {plan_file} --apply" in result.stderr


@pytest.mark.parametrize("named", [True, False])
def test_a_mapped_folder_whose_plan_was_interrupted_names_it(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    desired = wanted(plan_file, live(server.world))
    mapped = tmp_path / "run" / "mapped"
    options = ["--plan-out", tmp_path / "mine.json"] if named else []
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert mortal("load", mapped, "--apply", "--yes", *FORCE, *options).exit_code == -9
    again = run("load", mapped, "--apply", "--yes", *FORCE, *options)
    assert (again.exit_code, again.stderr.count("\n")) == (4, 1)
    (command,) = re.findall(r"Resume with: chat-migrate (load --plan \S+ --apply)", again.stderr)
    assert run(*command.split(), "--yes", *FORCE).exit_code == 0
    assert (live(server.world), posts(server.world)) == (desired, 5)


def test_a_write_that_was_taken_in_part_is_finished_by_the_same_command(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    real = TwilioApi.post

    def partly(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        real(api, name, path, {key: value for key, value in form.items() if key != "LogEnabled"})

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", partly)
        assert apply(run, plan_file).exit_code == 6
    assert apply(run, plan_file).exit_code == 0
    assert live(server.world) == wanted(plan_file, before)
    assert run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_full_disk_stops_it_and_the_line_says_what_was_written(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lines = SyncedLog.append, 0

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        nonlocal lines
        lines += 1
        if lines > 4:
            raise OSError(28, "No space left on device")
        real(log, line)

    with monkeypatch.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (6, 1)
    assert "4 of 5 services are not as planned" in result.stderr
    assert "no space left on device" in result.stdout
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5


def test_the_command_that_goes_on_has_its_options(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = plan_file.with_name("mine.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        result = apply(run, plan_file, "--journal", mine, "--record", plan_file.with_name("c.yaml"))
    (command,) = re.findall(r"Resume with: chat-migrate (.*)", result.stderr)  # a recording is not gone on with
    assert run(*shlex.split(command)).exit_code == 0
    assert read_journal(mine).finished


def test_a_plan_whose_write_is_open_is_neither_replaced_nor_written_beside(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert apply(mortal, plan_file).exit_code == -9
    mapped = plan_file.parent / "run" / "mapped"
    plan_file.rename(plan_file.parent / "run" / "plan.json")
    plan_file.with_suffix(".journal.jsonl").rename(plan_file.parent / "run" / "plan.journal.jsonl")
    saved = plan_file.parent / "run" / "plan.json"
    whole = saved.read_bytes()
    for options in (["--apply", "--yes", *FORCE], ["--plan-out", saved]):
        refused = run("load", mapped, *options)
        assert (refused.exit_code, refused.stderr.count("\n"), saved.read_bytes()) == (4, 1, whole)
        assert f"Resume with: chat-migrate load --plan {saved} --apply" in refused.stderr


def test_an_error_of_any_kind_stops_one_change_alone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.post

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        if service_sid(3) in path:
            raise RefusedError("it leads to another host", remedy="Find out who answers")
        return real(api, name, path, form)

    monkeypatch.setattr(TwilioApi, "post", post)
    done = apply(run, plan_file)
    assert (done.exit_code, posts(server.world)) == (6, 4)
    assert "it leads to another host" in done.stdout


def test_whoever_interrupts_it_before_anything_is_written_is_told_how_to_go_on(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "get", get)
        mapped, tape = plan_file.parent / "run" / "mapped", plan_file.with_name("c.yaml")
        left = run("load", mapped, "--apply", "--yes", *FORCE, "--record", tape)
    assert (left.exit_code, left.stderr.count("\n"), server.world.writes) == (130, 1, [])
    (command,) = re.findall(r"Interrupted. Nothing was written. Resume with: chat-migrate (.*)", left.stderr)
    assert run(*shlex.split(command)).exit_code == 0


@pytest.mark.parametrize(
    ("allowed", "code", "told"), [(9, 1, "All of the plan is applied"), (3, 6, "2 of 5 services")]
)
def test_a_result_that_cannot_be_shown_does_not_hide_what_was_done(
    run: Run,
    server: StandInServer,
    plan_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: int,
    code: int,
    told: str,
) -> None:
    def result(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    real, count = TwilioApi.post, 0

    def post(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count > allowed:
            raise TwilioError("it answered 400", status=400)
        return real(*arguments)

    monkeypatch.setattr(Screen, "result", result)
    monkeypatch.setattr(TwilioApi, "post", post)
    done = apply(run, plan_file)
    assert (done.exit_code, said(done).count("\n")) == (code, 1)
    assert told in done.stderr
    assert str(plan_file.with_suffix(".journal.jsonl")) in done.stderr


def test_a_disk_that_is_full_at_the_last_line_changes_nothing_of_what_is_told(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SyncedLog.append

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        if "finished" in line:
            raise OSError(28, "No space left on device")
        real(log, line)

    with monkeypatch.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        done = apply(run, plan_file)
    assert (done.exit_code, said(done)) == (0, "")
    assert "Done: 5 applied" in done.stdout
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5
