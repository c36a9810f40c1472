"""The library: the page's script runs as it stands there, and nothing is written that was not confirmed within limits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from contextvars import copy_context
from pathlib import Path
from typing import Any

import click
import pytest

import migrate
from migrate.load.account_lock import only_loader
from migrate.load.applied import Applied
from migrate.model.errors import AGAIN, MigrateError, PartlyAppliedError, RefusedError, StaleError, Step
from migrate.standin.separate import separate
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from tests.conftest import ROOT, Serve, service_sid, tiny_world

SCRIPT = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text("utf-8"), re.DOTALL)


def yes(work: object) -> bool:
    return True


def settings() -> migrate.ApiSettings:
    """How the stand-in is reached that the environment names."""
    return migrate.ApiSettings(os.environ["CHAT_MIGRATE_CHAT_URL"], os.environ["CHAT_MIGRATE_CONVERSATIONS_URL"])


def planned(api: TwilioApi, folder: Path) -> Any:
    """A plan of what is served, from the first request on."""
    migrate.extract_snapshot(api, folder / "snapshot", migrate.ExtractOptions())
    migrate.map_snapshot(folder / "snapshot", folder / "mapped")
    return migrate.make_plan(api, folder / "mapped")


@pytest.mark.parametrize(("answer", "code", "writes"), [("1\n", 0, 1), ("no\n", 1, 0)])
def test_the_script_of_the_page_runs_as_it_is_and_writes_only_what_is_confirmed(
    tmp_path: Path, serve: Serve, answer: str, code: int, writes: int
) -> None:
    server = serve(tiny_world())
    assert SCRIPT
    (tmp_path / "script.py").write_text(SCRIPT[1])
    assert len([line for line in SCRIPT[1].splitlines() if line.strip()]) <= 22
    done = subprocess.run(
        [sys.executable, "script.py", server.url, server.url],
        cwd=tmp_path, input=answer, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, len(server.world.writes)) == (code, writes), done.stderr
    assert service_sid(1) in done.stdout  # the change is shown before anything is asked
    if writes:
        assert "1 services are as planned" in done.stdout
        assert "bindings=3" in done.stdout
    else:
        assert "RefusedError: Not applied: it was not confirmed" in done.stderr


def test_without_confirm_nothing_is_written_and_limits_are_judged_before_it_is_asked(
    tmp_path: Path, serve: Serve, demo_world: World
) -> None:
    serve(demo_world)
    asked: list[Any] = []

    def ask(plan: Any) -> bool:
        asked.append(plan)
        return True

    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        with pytest.raises(RefusedError, match=r"\[blockers\].*\[switches-off\]"):
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=ask)
        for silent in (None, lambda plan: False):
            with pytest.raises(RefusedError, match="it was not confirmed"):
                migrate.apply_plan(api, plan, tmp_path / "j", force=["blockers", "switches-off"], confirm=silent)
    assert (asked, demo_world.writes, (tmp_path / "j").exists()) == ([], [], False)


def test_a_plan_is_applied_and_undone_and_neither_without_consent(tmp_path: Path, serve: Serve) -> None:
    world = serve(tiny_world()).world
    journal = tmp_path / "plan.journal.jsonl"
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        done = migrate.apply_plan(api, plan, journal, confirm=yes)
        assert [outcome.verdict for outcome in done.outcomes] == ["applied"]
        with pytest.raises(RefusedError, match="applied already"):
            migrate.apply_plan(api, plan, journal, confirm=yes)
        left = migrate.make_plan(api, tmp_path / "mapped")
        assert migrate.apply_plan(api, left, tmp_path / "other").outcomes == ()  # nothing to write, nothing to ask
        with pytest.raises(RefusedError, match="it was not confirmed"):
            migrate.rollback_plan(api, journal)
        assert len(world.writes) == 1
        undone = migrate.rollback_plan(api, journal, confirm=yes)
        assert (undone.journal.exists(), [outcome.verdict for outcome in undone.outcomes]) == (True, ["applied"])
        assert migrate.make_plan(api, tmp_path / "mapped").changes == plan.changes
    assert len(world.writes) == 2


def test_what_was_proposed_is_written_only_where_it_is_forced(tmp_path: Path, serve: Serve) -> None:
    serve(tiny_world(notifications={}, bindings=[{"count": 3, "message_types": [["new_message"]]}]))
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        proposed = {proposal.path for proposal in plan.proposals}
        done = migrate.apply_plan(api, plan, tmp_path / "j", force=["inferred"], confirm=yes)
    assert proposed
    assert proposed <= {path for change in done.plan.changes for path in change.fields}
    assert done.plan.plan_id != plan.plan_id


def test_another_process_that_writes_to_the_account_keeps_it_out(tmp_path: Path, serve: Serve) -> None:
    world = serve(tiny_world()).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        with only_loader(Path(click.get_app_dir("chat-migrate")), world.account_sid):
            with pytest.raises(RefusedError, match="Another process is writing"):
                migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)
            with pytest.raises(RefusedError, match="Another process is writing"):
                migrate.rollback_plan(api, tmp_path / "j", confirm=yes)
        assert world.writes == []
        migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)  # which has let go of the lock
    assert len(world.writes) == 1


def test_what_was_done_and_what_resumes_are_data_of_the_error(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = serve({**tiny_world(), "services": [tiny_world()["services"][0]] * 2}).world
    post, refused = TwilioApi.post, [migrate.MigrateError("no more")]

    def second_fails(api: TwilioApi, *arguments: Any) -> dict[str, Any]:
        if world.writes and refused:
            raise refused.pop()
        return post(api, *arguments)

    monkeypatch.setattr(TwilioApi, "post", second_fails)
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        with pytest.raises(PartlyAppliedError) as partly:
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)
        assert isinstance(partly.value.result, Applied)
        assert [outcome.verdict for outcome in partly.value.result.outcomes] == ["applied", "failed"]
        assert partly.value.steps == (AGAIN,)
        assert str(partly.value).endswith("Resume with: the same call")
        assert migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes).outcomes[1].verdict == "applied"


def test_what_others_changed_is_left_alone_and_a_new_plan_is_named_as_data(tmp_path: Path, serve: Serve) -> None:
    world = serve(tiny_world()).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        path = f"/Services/{service_sid(1)}/Configuration/Notifications"
        api.post("conversations", path, {"NewMessage.Template": "theirs"})
        with pytest.raises(StaleError) as stale:
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)
    assert [step.stage for step in stale.value.steps] == ["load"]
    assert str(stale.value).endswith(
        "Make a new plan with: load(mapped=MAPPED, plan_out={})".format(tmp_path / "j.json")
    )
    assert len(world.writes) == 1


def test_bindings_are_retired_only_with_consent_and_the_dry_run_says_which(tmp_path: Path, serve: Serve) -> None:
    world = serve(separated()).world
    arguments: tuple[Any, ...] = (tmp_path / "snapshot", tmp_path / "coverage")
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        migrate.apply_plan(api, plan, tmp_path / "j", force=["switches-off"], confirm=yes)
        before = len(world.writes)
        looked = migrate.retire_bindings(api, *arguments, dry_run=True)
        with pytest.raises(RefusedError, match=r"\[few-ready\]"):
            migrate.retire_bindings(api, *arguments, confirm=yes)
        with pytest.raises(RefusedError, match="it was not confirmed"):
            migrate.retire_bindings(api, *arguments, min_ready=0)
        assert len(world.writes) == before
        done = migrate.retire_bindings(api, *arguments, min_ready=0, confirm=yes)
    assert looked.retirement.deletions > 0
    assert done.retired is not None
    assert done.retired.outcomes["deleted"] == looked.retirement.deletions == len(world.writes) - before


def separated() -> World:
    """A world of which every other device has registered with Conversations by a binding of its own."""
    from migrate.standin.world import make_world

    world = make_world(tiny_world(bindings=[{"count": 6, "identity": "person-{n}"}]))
    separate(world)
    return world


@pytest.mark.parametrize("answer", ["no", 1, object()])
def test_an_answer_that_is_not_true_is_no_consent(tmp_path: Path, serve: Serve, answer: Any) -> None:
    world = serve(tiny_world()).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        with pytest.raises(RefusedError, match="it was not confirmed"):
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=lambda plan: answer)
    assert world.writes == []


def test_force_is_names_and_not_a_text_that_has_them_within(tmp_path: Path, serve: Serve, demo_world: World) -> None:
    world = serve(demo_world).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        with pytest.raises(RefusedError, match=r"\[blockers\].*\[switches-off\]"):
            migrate.apply_plan(api, plan, tmp_path / "j", force="not blockers, nor switches-off", confirm=yes)
    assert world.writes == []


def test_no_force_lifts_the_clock_by_which_bindings_are_deleted(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = serve(separated()).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        migrate.apply_plan(api, plan, tmp_path / "j", force=["switches-off"], confirm=yes)
        before = len(world.writes)
        monkeypatch.setattr(TwilioApi, "clock", None)  # as where something takes the Date out of the answers
        with pytest.raises(RefusedError, match=r"\[clock\]") as refused:
            migrate.retire_bindings(
                api, tmp_path / "snapshot", tmp_path / "coverage", min_ready=0, force=["clock"], confirm=yes
            )
    assert len(world.writes) == before
    assert "--force clock" not in str(refused.value)


def test_the_lock_is_held_by_a_thread_and_not_by_whoever_has_a_copy_of_its_context(
    tmp_path: Path, serve: Serve
) -> None:
    world = serve(tiny_world()).world
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        refused: list[RefusedError] = []

        def other() -> None:
            with pytest.raises(RefusedError, match="Another process is writing to account") as error:
                migrate.apply_plan(api, plan, tmp_path / "other", confirm=yes)
            refused.append(error.value)

        def confirm(plan: Any) -> bool:
            thread = threading.Thread(target=copy_context().run, args=[other])  # as asyncio.to_thread does
            thread.start()
            thread.join()
            return False

        with pytest.raises(RefusedError, match="it was not confirmed"):
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=confirm)
    assert len(refused) == 1
    assert world.writes == []


def test_nothing_more_is_written_once_the_journal_was_removed(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = tiny_world()
    two["services"].append({**two["services"][0], "name": "Other"})
    world, post = serve(two).world, TwilioApi.post

    def removing(api: TwilioApi, *arguments: Any) -> Any:
        answer = post(api, *arguments)
        (tmp_path / "j").unlink(missing_ok=True)
        return answer

    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        assert len(plan.changes) == 2
        monkeypatch.setattr(TwilioApi, "post", removing)
        with pytest.raises(MigrateError, match="2 of 2 services are not as planned") as failed:
            migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)
    assert isinstance(failed.value.result, Applied)
    assert [outcome.reason for outcome in failed.value.result.outcomes] == [
        "the journal cannot be written: no such file or directory"
    ]
    assert len(world.writes) == 1


def test_a_journal_that_another_snapshot_has_begun_meanwhile_gets_none_of_this_ones_deletes(
    tmp_path: Path, serve: Serve
) -> None:
    world = serve(separated()).world
    head = {"format_version": 1, "kind": "retire", "snapshot": "another", "account_sid": world.account_sid}
    line = json.dumps({**head, "target": "http://127.0.0.1", "conversations": "http://127.0.0.1"}) + "\n"

    def confirm(found: Any) -> bool:
        (tmp_path / "journal").write_text(line)
        return True

    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        migrate.apply_plan(api, plan, tmp_path / "j", force=["switches-off"], confirm=yes)
        before = len(world.writes)
        with pytest.raises(RefusedError, match="is the journal of another snapshot"):
            migrate.retire_bindings(
                api, tmp_path / "snapshot", tmp_path / "coverage",
                journal=tmp_path / "journal", min_ready=0, confirm=confirm,
            )  # fmt: skip
    assert len(world.writes) == before
    assert (tmp_path / "journal").read_text() == line


def test_a_recording_is_not_written_to(tmp_path: Path) -> None:
    with migrate.open_api(migrate.ApiSettings(replay=Path("demo"))) as api:
        plan = planned(api, tmp_path)
        with pytest.raises(RefusedError, match="A recording cannot be written to"):
            migrate.apply_plan(api, plan, tmp_path / "j", force=["blockers", "switches-off"], confirm=yes)
    assert not (tmp_path / "j").exists()


def test_warnings_go_into_the_log_or_to_an_observer(
    tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Hearing(migrate.Observer[Any]):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def begins(self, work: Any) -> None:
            self.heard.append(work)

        def say(self, message: str) -> None:
            self.heard.append(message)

    serve(tiny_world())
    hearing = Hearing()
    with migrate.open_api(settings()) as api:
        plan = planned(api, tmp_path)
        migrate.apply_plan(api, plan, tmp_path / "j", confirm=yes)
        migrate.rollback_plan(api, tmp_path / "j", confirm=yes, observer=hearing)
    assert [record.getMessage()[:45] for record in caplog.records if record.name == "migrate.load.writing"] == [
        "Warning: this is not Twilio's own address: Ch"
    ]
    assert (type(hearing.heard[0]), len(hearing.heard)) == (type(plan), 2)


def test_a_step_says_what_it_is_called_with_and_a_remedy_names_it() -> None:
    error = MigrateError(
        "It stopped", remedy=("Then: ", Step("map", {"snapshot": Path("s"), "rules": None}), " or not")
    )
    assert str(error) == "It stopped. Then: map(snapshot=s) or not"
    assert str(Step(arguments={"restart": True})) == "the same call with restart=True"
    told = error.within("Stopped half-way", kept="All is kept", remedy=("Resume with: ", AGAIN))
    assert (
        str(told)
        == "Stopped half-way: It stopped. All is kept. Then: map(snapshot=s) or not. Resume with: the same call"
    )
    assert [step.stage for step in told.steps] == ["map", ""]
