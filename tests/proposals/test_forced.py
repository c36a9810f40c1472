"""Proposals that --force writes, and what refuses or shows them."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from migrate.load.plan_file import read_plan
from migrate.load.proposals import with_proposals
from migrate.model.digest import canonical_json, digest
from migrate.report.html import plan_page
from migrate.report.markdown import LARGEST, plan_report
from migrate.report.text import plan_view
from migrate.review import open_mapped, open_plan
from migrate.standin.server import StandInServer
from tests.applying import dying, live, mortal
from tests.conftest import Run, Serve, service_sid
from tests.markup import text_in
from tests.plans import plan_of
from tests.proposals.conftest import ADDED, MEDIA, NEW, REMOVED, SERVICE, edit, many, silent


def test_force_writes_what_is_proposed_and_can_be_undone(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer
) -> None:
    before = live(server.world)
    dry = run("load", mapped, "--force", "inferred", "--detailed-exitcode")
    assert (dry.exit_code, server.world.writes) == (3, [])
    assert "4 settings of 1 service would change" in dry.stdout
    assert run("load", mapped, "--force", "inferred", "--apply", "--yes").exit_code == 0
    assert {path for path, value in live(server.world)[SERVICE].items() if value is True} == {
        NEW,
        MEDIA,
        ADDED,
        REMOVED,
    }
    (journal,) = mapped.parent.glob("*.journal.jsonl")
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_saved_plan_can_be_forced_and_both_ways_give_the_same_plan(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer
) -> None:
    plan, forced = tmp_path / "plan.json", tmp_path / "forced.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    assert run("load", mapped, "--plan-out", forced, "--force", "inferred").exit_code == 0
    assert with_proposals(read_plan(plan)) == read_plan(forced)
    assert with_proposals(read_plan(forced)) == read_plan(forced)
    codes = {finding.code for finding in read_plan(forced).findings}
    assert {"push-trusted", "media-text"} <= codes
    assert "push-inferred" not in codes
    apply = ("load", "--plan", plan, "--apply", "--yes")
    assert run(*apply).exit_code == 0
    assert server.world.writes == []
    done = run(*apply, "--force", "inferred")
    assert (done.exit_code, len(server.world.writes)) == (0, 1), done.output
    # It is another plan, and has a file and a journal of its own.
    own = tmp_path / "plan.inferred.json"
    assert own.read_bytes() == forced.read_bytes()
    assert own.with_suffix(".journal.jsonl").exists()
    again = run(*apply, "--force", "inferred")
    assert (again.exit_code, len(server.world.writes)) == (4, 1)
    assert "applied already" in again.stderr


def test_forced_and_killed_it_resumes_by_the_same_command(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    command = ("load", "--plan", plan, "--apply", "--yes", "--force", "inferred")
    with monkeypatch.context() as patch:
        dying(patch, 3)
        assert mortal(*command).exit_code == -9
    assert run(*command).exit_code == 0
    assert (live(server.world)[SERVICE][REMOVED], len(server.world.writes)) == (True, 1)


def test_what_somebody_has_set_since_is_not_overwritten_by_force(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer
) -> None:
    plan = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    server.world.services[SERVICE].configuration = {"added_to_conversation.template": "theirs"}
    for options in ((), ("--apply", "--yes")):
        result = run("load", "--plan", plan, "--force", "inferred", *options)
        assert (result.exit_code, server.world.writes) == (5, [])
    assert run("load", "--plan", plan).exit_code == 0  # nothing in it is to be written, and nothing is stale


def test_force_adds_to_what_is_stated_for_the_same_service(tmp_path: Path, run: Run, serve: Serve) -> None:
    kept = {"new_message": {"with_media": {"template": "theirs"}}}
    serve(silent({"added_to_channel": {"enabled": True, "template": "${USER}"}}, conversations=kept))
    rules = tmp_path / "r.toml"
    rules.write_text('[media]\ntemplate = "${MEDIA}"\n')
    assert run("run", "--out", tmp_path / "o", "--rules", rules).exit_code == 0
    plan = read_plan(tmp_path / "o" / "plan.json")
    forced = with_proposals(plan)
    (change,) = forced.changes
    template = "new_message.with_media.template"
    assert set(plan.changes[0].fields) == {ADDED, "added_to_conversation.template"}
    assert set(change.fields) == {*plan.changes[0].fields, NEW, MEDIA, template, REMOVED}
    assert (change.existing[template], change.desired[template]) == ("theirs", "${MEDIA}")
    left = {finding.subject for finding in plan.findings if finding.code == "target-value-kept"}
    assert template in left
    assert not any(finding.code in ("target-value-kept", "media-text") for finding in forced.findings)
    assert forced.unchanged == ()


def test_rollback_knows_no_such_force(tmp_path: Path, run: Run) -> None:
    (tmp_path / "j.journal.jsonl").touch()
    assert run("rollback", tmp_path / "j.journal.jsonl", "--force", "inferred").exit_code == 2


@pytest.mark.long
@pytest.mark.parametrize("force", [(), ("--force", "inferred")])
def test_a_rehearsal_passes_with_proposals_left_alone_and_with_them_forced(
    tmp_path: Path, run: Run, serve: Serve, force: tuple[str, ...]
) -> None:
    world = silent({"log_enabled": True})
    world["services"] = [{**world["services"][0], "name": f"Service {number}"} for number in range(3)]
    serve(world)
    assert run("run", "--out", tmp_path).exit_code == 0
    result = run("rehearse", tmp_path / "mapped", "--snapshot", tmp_path / "snapshot", "--json", *force)
    assert result.exit_code == 0, result.output
    held = json.loads(result.stdout)
    assert held["changes"] == 3
    assert any("12 proposals wait" in note for note in held["notes"]) == (not force)


def test_a_folder_and_a_plan_of_a_format_without_proposals_are_refused_with_a_remedy(
    tmp_path: Path, run: Run, mapped: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    plan.write_text(plan.read_text().replace('"format_version": 4', '"format_version": 3'))
    summary = mapped / "summary.json"
    summary.write_text(summary.read_text().replace('"format_version": 5', '"format_version": 3'))
    for options, remedy in (((mapped,), "Map the snapshot again"), (("--plan", plan), "load MAPPED --plan-out FILE")):
        result = run("load", *options)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert remedy in result.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"value": "true"},
        {"value": None},
        {"path": "new_message"},
        {"path": "new_message.template"},
        {"bindings": -1},
        {"bindings": True},
        {"bindings": "4"},
        {"platforms": {"apn": "3"}},
        {"platforms": 3},
        {"reason": 1},
        {"follows": "nothing"},
        {"service_sid": "IS1"},
        {"service_sid": service_sid(7)},
        {"value": False},
    ],
)
def test_a_proposal_of_another_kind_is_none_though_the_digest_is_right(
    tmp_path: Path, run: Run, mapped: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "plan.json"
    assert run("load", mapped, "--plan-out", path).exit_code == 0
    plan = json.loads(path.read_bytes())
    plan["proposals"][0] |= change
    del plan["plan_id"]
    path.write_text(canonical_json({"plan_id": digest(plan), **plan}))
    result = run("load", "--plan", path, "--force", "inferred")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is not a plan of this version" in result.stderr
    summary = json.loads((mapped / "summary.json").read_bytes())
    summary["proposals"][0] |= change
    (mapped / "summary.json").write_text(canonical_json(summary))
    if change != {"value": False}:
        assert run("load", mapped).exit_code == 1


@pytest.mark.parametrize("path", ["proposals", "live"])
def test_a_proposal_for_what_a_change_states_is_none(tmp_path: Path, run: Run, serve: Serve, path: str) -> None:
    serve(silent({"new_message": {"enabled": True}}))
    assert run("run", "--out", tmp_path).exit_code == 0
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    wrong = {"proposals": [{**plan["proposals"][0], "path": NEW}], "live": {SERVICE: {"log_enabled": True}}}
    plan[path] = wrong[path]
    del plan["plan_id"]
    (tmp_path / "wrong.json").write_text(canonical_json({"plan_id": digest(plan), **plan}))
    assert run("load", "--plan", tmp_path / "wrong.json").exit_code == 1


def test_every_view_of_a_plan_has_the_proposals_with_what_speaks_for_them(
    tmp_path: Path, run: Run, mapped: Path
) -> None:
    reports = [tmp_path / name for name in ("r.md", "r.html", "r.json")]
    result = run("load", mapped, *(word for path in reports for word in ("--report", path)))
    assert result.exit_code == 0
    page = html.unescape(re.sub(r"<[^>]*>", "", reports[1].read_text("utf-8")))
    for text in (result.stdout, reports[0].read_text("utf-8").replace("\\", ""), page):
        assert "Proposed, and not written" in text
        assert text.count("Chat does not say; 4 live bindings subscribe to it (apn 3, fcm 1)") == 3
        assert "follows new_message.enabled" in text
        assert "--force inferred" in text
        assert "4 proposals wait for a decision" in text
    assert "Twilio's default text" in page
    assert "Nothing to apply, and something to decide" in page
    assert len(json.loads(reports[2].read_bytes())["proposals"]) == 4


def test_a_report_of_many_proposals_counts_them_and_stays_small() -> None:
    text = plan_report(many(2_000))
    assert len(text.encode()) <= LARGEST
    assert "| new_message.enabled | 2,000 | 2,000,000 |" in text
    assert "4,000 proposals wait for a decision" in text
    assert service_sid(3) in plan_page(many(2_000), ())


def test_a_plan_without_proposals_says_nothing_of_any() -> None:
    for text in (plan_report(plan_of(())), plan_page(plan_of(()), ()), plan_view(plan_of(())).plain):
        assert "ropos" not in text


def test_reviews_show_proposals_where_they_show_pushes(tmp_path: Path, run: Run, mapped: Path) -> None:
    assert run("load", mapped, "--plan-out", tmp_path / "plan.json").exit_code == 0
    folder, plan = open_mapped(mapped), open_plan(tmp_path / "plan.json")
    for review in (folder, plan):
        assert list(review.proposals["setting"]) == [NEW, MEDIA, ADDED, REMOVED]
        assert set(review.proposals["bindings"]) == {4}
        assert "4 proposals wait for a decision" in text_in(review._repr_html_())
        shown = text_in(review.phones()._repr_html_())
        assert "proposed: (Twilio's default text)" in shown
        assert "(no push) (proposed: (Twilio's default text))" in repr(review.phones())
    assert set(plan.pushes["after"]) == {"(no push)"}
    assert set(plan.pushes["proposed"]) == {"(Twilio's default text)"}
    assert not plan.pushes["differs"].any()
    edit(mapped, "# enabled: true  # proposed: Chat does not say", "enabled: true  # yes")
    assert list(open_mapped(mapped).proposals["setting"]) == [MEDIA]


def test_a_binding_is_explained_with_what_is_only_proposed(run: Run, mapped: Path) -> None:
    sid = open_mapped(mapped).bindings["sid"][0]
    assert "new_message (proposed, and not stated in push-config.yaml)" in run("explain", mapped, sid).stdout
    told = json.loads(run("explain", mapped, sid, "--json").stdout)
    assert told["proposed"] == ["new_message", "added_to_conversation", "removed_from_conversation"]
    assert set(told["pushes"].values()) == {None}


def test_what_is_on_in_conversations_when_it_is_mapped_needs_no_decision(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    on = {"enabled": True}
    serve(silent(conversations={"new_message": {**on, "with_media": on}, "added_to_conversation": on}))
    assert run("run", "--out", tmp_path).exit_code == 0
    result = run("map", tmp_path / "snapshot", "--out", tmp_path / "m")
    assert "1 proposal waits for a decision" in result.stdout
    assert list(open_mapped(tmp_path / "m").proposals["setting"]) == [REMOVED]
