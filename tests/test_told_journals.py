"""What is told of the journals of plans: another's, an open one, one that is none, one whose plan was undone."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from migrate.load.journal import read_journal
from migrate.model.errors import TwilioError
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, apply, dying, live, mortal, posts, wanted
from tests.conftest import Run, Serve, said, service_sid
from tests.test_told_refusals import told

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

FIRST = service_sid(1)
JOURNAL = ".journal.jsonl"


@pytest.fixture
def server(serve: Serve, demo_world: World, environment: pytest.MonkeyPatch, tmp_path: Path) -> StandInServer:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    return serve(demo_world)


@pytest.fixture
def mapped(tmp_path: Path, server: StandInServer, migration: Path) -> Path:
    """The demo, mapped, alone in its folder but for its snapshot."""
    for name in ("mapped", "snapshot"):
        shutil.copytree(migration / name, tmp_path / "run" / name)
    return tmp_path / "run" / "mapped"


def edit(mapped: Path) -> None:
    """Want another sound."""
    config = mapped / "push-config.yaml"
    text = config.read_text("utf-8")
    assert "chime.caf" in text
    config.write_text(text.replace("chime.caf", "bell.caf"), "utf-8")


def begin_of(mapped: Path, run: Run) -> tuple[Path, Path]:
    """A plan that was applied, and its journal."""
    plan = mapped.parent.parent / "plan.json"
    assert run("load", mapped, "--plan-out", plan, *FORCE).exit_code == 0
    assert apply(run, plan).exit_code == 0
    return plan, plan.with_suffix(JOURNAL)


# --- another plan's ---------------------------------------------------------------------------------------


def test_a_plan_is_not_saved_beside_the_journal_of_one_that_was_applied(run: Run, mapped: Path) -> None:
    plan, journal = begin_of(mapped, run)
    whole = plan.read_bytes()
    edit(mapped)
    refused = run("load", mapped, "--plan-out", plan, *FORCE)
    assert (refused.exit_code, refused.stderr.count("\n"), plan.read_bytes()) == (4, 1, whole)
    assert str(journal) in refused.stderr
    assert "Name another file with --plan-out" in refused.stderr
    another = plan.with_name("another.json")
    assert told(run("load", mapped, "--plan-out", another, *FORCE)) == []
    assert apply(run, another).exit_code == 0


def test_where_nothing_is_left_to_do_that_can_be_saved_as_before(run: Run, mapped: Path) -> None:
    plan, _ = begin_of(mapped, run)
    assert run("load", mapped, "--plan-out", plan, *FORCE, "--detailed-exitcode").exit_code == 0
    assert json.loads(plan.read_bytes())["changes"] == []


def test_the_journal_of_another_plan_does_not_make_this_one_applied(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path
) -> None:
    plan, _ = begin_of(mapped, run)
    edit(mapped)
    plan.unlink()
    plan.with_suffix(JOURNAL).rename(tmp_path / "away")
    assert run("load", mapped, "--plan-out", plan, *FORCE).exit_code == 0
    (tmp_path / "away").rename(plan.with_suffix(JOURNAL))  # as one that was copied there
    shown = run("load", "--plan", plan, *FORCE)
    assert (shown.exit_code, told(shown), "applied already" in shown.stdout) == (0, ["other-journal"], False)
    refused = apply(run, plan)
    assert (refused.exit_code, "is the journal of another plan" in refused.stderr) == (4, True)
    named = tmp_path / "mine.jsonl"
    assert told(run("load", "--plan", plan, *FORCE, "--journal", named)) == []
    assert apply(run, plan, "--journal", named).exit_code == 0


# --- again, after a rollback ------------------------------------------------------------------------------


def test_a_mapped_folder_can_be_applied_again_after_a_rollback(run: Run, server: StandInServer, mapped: Path) -> None:
    before, names = live(server.world), list[str]()
    for _ in range(3):
        assert told(run("load", mapped, *FORCE)) == []
        done = run("load", mapped, "--apply", "--yes", *FORCE, "--json")
        assert done.exit_code == 0, done.output
        journal = Path(json.loads(done.stdout)["journal"])
        assert len(read_journal(journal).entries) == 5
        assert live(server.world) != before
        assert run("rollback", journal, "--apply", "--yes").exit_code == 0
        assert live(server.world) == before
        names.append(journal.name)
    stem = names[0].removesuffix(JOURNAL)
    assert names == [f"{stem}{JOURNAL}", f"{stem}-2{JOURNAL}", f"{stem}-3{JOURNAL}"]


def test_also_where_it_was_applied_in_part(run: Run, server: StandInServer, mapped: Path) -> None:
    before = live(server.world)
    with pytest.MonkeyPatch.context() as patch:
        _refusing(patch, service_sid(3))
        assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 6
    (journal,) = mapped.parent.glob(f"*{JOURNAL}")
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before
    again = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (again.exit_code, said(again)) == (0, "")


def test_a_saved_plan_that_was_undone_is_applied_again_with_the_journal_that_it_asks_for(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path
) -> None:
    plan, journal = begin_of(mapped, run)
    after = live(server.world)
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    shown = run("load", "--plan", plan, *FORCE)
    assert told(shown) == ["applied"]
    assert "to apply it once more, name another file with --journal" in shown.stdout
    assert apply(run, plan, "--journal", tmp_path / "second.jsonl").exit_code == 0
    assert live(server.world) == after


# --- unfinished -------------------------------------------------------------------------------------------


def _refusing(patch: pytest.MonkeyPatch, sid: str) -> None:
    real = TwilioApi.post

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        if sid in path:
            raise TwilioError("answered 400", status=400)
        return real(api, name, path, form)

    patch.setattr(TwilioApi, "post", post)


def test_a_dry_run_tells_of_a_write_that_is_open_and_the_command_goes_on_with_what_was_lifted(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, 12)
        assert mortal("load", mapped, "--apply", "--yes", *FORCE).exit_code == -9
    (plan,) = mapped.parent.glob("plan-*.json")
    desired = wanted(plan, live(server.world))
    shown = run("load", mapped, "--yes", *FORCE, "--detailed-exitcode", "--journal", mapped.parent / "unused.jsonl")
    assert (shown.exit_code, told(shown)) == (3, ["unfinished"])
    assert "unused.jsonl" not in shown.stdout
    assert "--detailed-exitcode" not in shown.stdout
    refused = run("load", mapped, "--apply", "--yes", *FORCE)
    assert refused.exit_code == 4
    for output in (shown.stdout, refused.stderr):
        assert f"The plan {plan} is partly applied" in output
        (command,) = re.findall(r"Resume with: chat-migrate (.*?)\. Or undo it with: chat-migrate rollback ", output)
        assert shlex.split(command)[:4] == ["load", "--plan", str(plan), "--apply"]
        assert command.count("--apply") == 1
        assert [word for word in FORCE if word != "--force" and word in command] == [
            "blockers", "switches-off", "inferred",
        ]  # fmt: skip
    assert run(*shlex.split(command)).exit_code == 0
    assert (live(server.world), posts(server.world)) == (desired, 5)


def test_a_second_plan_beside_one_that_was_applied_in_part_names_both_journals(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    before = live(server.world)
    with pytest.MonkeyPatch.context() as patch:
        _refusing(patch, service_sid(3))
        assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 6
    (former,) = mapped.parent.glob(f"*{JOURNAL}")
    (mapped.parent / f"notes{JOURNAL}").mkdir()
    assert run("load", "--plan", former.with_name(former.name.removesuffix(JOURNAL) + ".json")).stderr == ""
    second = run("load", mapped, "--apply", "--yes", *FORCE, "--json")
    later = Path(json.loads(second.stdout)["journal"])
    assert (second.exit_code, said(second).count("\n"), later != former) == (0, 1, True)
    assert all(str(path) in second.stderr for path in (former, later))
    for path in (later, former):
        assert run("rollback", path, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before
    assert said(run("load", mapped, "--apply", "--yes", *FORCE)) == ""  # what was undone is not told


def test_a_plan_that_is_done_is_not_named_beside_another(run: Run, mapped: Path) -> None:
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    edit(mapped)
    second = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (second.exit_code, said(second)) == (0, "")


def test_a_plan_of_which_nothing_came_is_saved_in_its_own_place_again(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    plan = mapped.parent.parent / "plan.json"
    assert run("load", mapped, "--plan-out", plan, "--service", FIRST, *FORCE).exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        _refusing(patch, FIRST)
        assert apply(run, plan).exit_code == 1
    assert run("load", mapped, "--plan-out", plan, "--service", FIRST, *FORCE).exit_code == 0
    assert apply(run, plan).exit_code == 0


# --- what is none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["dry run", "apply", "plan-out"])
def test_a_file_with_a_journals_name_is_told_and_what_to_do_with_it(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, command: str
) -> None:
    (tmp_path / "run" / f"folder{JOURNAL}").mkdir()
    notes = tmp_path / "run" / f"notes{JOURNAL}"
    assert told(run("load", mapped, *FORCE)) == []
    notes.write_text("hello\n", "utf-8")
    options = {
        "dry run": (),
        "apply": ("--apply", "--yes"),
        "plan-out": ("--plan-out", tmp_path / "run" / "notes.json"),
    }
    result = run("load", mapped, *FORCE, *options[command])
    assert result.exit_code == (0 if command == "dry run" else 1)
    assert told(result) == (["no-journal"] if command == "dry run" else [])
    assert f"{notes} is not a journal" in result.output
    assert "Move that file away" in result.output
    notes.unlink()
    assert run("load", mapped, *FORCE, *options[command]).exit_code == 0


def _torn(content: bytes) -> bytes:
    return content[: content.index(b"\n") - 20]


@pytest.mark.parametrize("tear", [lambda _: b"", lambda content: content[:7], _torn], ids=["empty", "begun", "torn"])
def test_a_journal_without_a_whole_line_has_nothing_to_undo_and_is_gone_on_from(
    run: Run, server: StandInServer, mapped: Path, tear: Any
) -> None:
    plan, journal = begin_of(mapped, run)
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    journal.write_bytes(tear(journal.read_bytes()))
    nothing = run("rollback", journal)
    assert (nothing.exit_code, nothing.stderr.count("\n")) == (1, 1)
    assert "nothing was written by it" in nothing.stderr
    assert told(run("load", "--plan", plan, *FORCE)) == []
    assert apply(run, plan).exit_code == 0
    assert len(read_journal(journal).entries) == 5
