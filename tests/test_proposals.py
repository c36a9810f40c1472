"""What is only inferred is proposed: it is shown wherever the rest is, and never written before somebody says so."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from migrate.load.plan_file import read_plan
from migrate.load.proposals import with_proposals
from migrate.map.counts import ServiceCounts
from migrate.map.notifications import service_config
from migrate.map.push_config_yaml import dump, parse
from migrate.map.rules_toml import default_rules, override
from migrate.model.digest import canonical_json, digest
from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.report.html import plan_page
from migrate.report.markdown import LARGEST, plan_report
from migrate.report.text import plan_view
from migrate.review import open_mapped, open_plan
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from tests.applying import dying, live, mortal
from tests.conftest import ROOT, Run, Serve, service_sid, tiny_world
from tests.markup import text_in
from tests.plans import EMPTY, plan_of

SERVICE = service_sid(1)
NEW, MEDIA, ADDED = "new_message.enabled", "new_message.with_media.enabled", "added_to_conversation.enabled"
REMOVED = "removed_from_conversation.enabled"
ALL = ["new_message", "added_to_channel", "removed_from_channel"]
_COMMENTED = re.compile(r"^( +)# (\S+: .*  # proposed: .*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


def silent(notifications: Any = None, **changes: Any) -> dict[str, Any]:
    """A world whose Chat does not say what is on, while 4 devices subscribe to all that their SDKs know."""
    bindings = [{"count": 4, "identity": "person-{n}", "binding_type": ["apn", "apn", "apn", "fcm"]}]
    bindings[0]["message_types"] = [ALL]
    return tiny_world(notifications=notifications or {}, bindings=bindings, **changes)


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    return serve(silent())


@pytest.fixture
def mapped(tmp_path: Path, run: Run, server: StandInServer) -> Path:
    """The silent world, mapped."""
    result = run("run", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "4 proposals wait for a decision" in result.stdout
    return tmp_path / "run" / "mapped"


def uncomment(text: str, *paths: str) -> str:
    """What a person does to proposals, to all or to some lines."""
    return _COMMENTED.sub(
        lambda found: found[1] + found[2] if not paths or found[2].partition(":")[0] in paths else found[0], text
    )


def edit(mapped: Path, old: str, new: str) -> None:
    path = mapped / "push-config.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def plan_of_load(run: Run, mapped: Path, *options: object) -> Any:
    result = run("load", mapped, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- never written without a word ------------------------------------------------------------------------


def test_subscriptions_switch_nothing_on(run: Run, mapped: Path, server: StandInServer) -> None:
    """SDKs cannot choose message types: who subscribes to removals has perhaps never had such a push."""
    before = live(server.world)
    result = run("load", mapped, "--apply", "--yes")
    assert (result.exit_code, server.world.writes, live(server.world)) == (0, [], before)
    assert (
        "0 settings of 0 services would change, 1 service unchanged, 4 proposals wait for a decision" in result.stdout
    )
    assert run("load", mapped, "--detailed-exitcode").exit_code == 0


def test_where_chat_is_switched_off_every_push_is_proposed(tmp_path: Path, run: Run, serve: Serve) -> None:
    on = {name: {"enabled": True, "template": "${USER}"} for name in ALL}
    server = serve(silent(on, conversations={"new_message": {"enabled": True}}), faults=Faults(chat_gone=410))
    done = run("run", "--out", tmp_path)
    assert (done.exit_code, server.world.writes) == (0, [])
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    assert plan["changes"] == []
    # New messages are on in Conversations already: that stays, and needs no decision.
    assert [found["path"] for found in plan["proposals"]] == [MEDIA, ADDED, REMOVED]
    assert plan["counts"]["proposals"] == 3
    assert "3 proposals wait for a decision" in done.stdout
    assert {found["subject"] for found in plan["findings"] if found["code"] == "push-inferred"} == {
        MEDIA,
        ADDED,
        REMOVED,
    }
    first = plan["proposals"][1]
    assert (first["value"], first["bindings"], first["platforms"]) == (True, 4, {"apn": 3, "fcm": 1})


@pytest.mark.parametrize(
    ("chat", "stated"),
    [
        ({"new_message": {"enabled": True}}, {NEW: True, MEDIA: True}),
        ({"new_message": {"enabled": False}}, {NEW: False, MEDIA: False}),
        ({"new_message": {"enabled": "true"}}, {}),
        ({"new_message": {"enabled": None}}, {}),
        ({"new_message": {}}, {}),
        ({"new_message": None}, {}),
    ],
)
def test_what_chat_states_is_carried_and_media_with_it(
    tmp_path: Path, run: Run, serve: Serve, chat: Any, stated: dict[str, bool]
) -> None:
    serve(silent(chat))
    assert run("run", "--out", tmp_path).exit_code == 0
    summary = json.loads((tmp_path / "mapped" / "summary.json").read_bytes())
    proposed = {found["path"]: found["value"] for found in summary["proposals"]}
    (config,) = parse((tmp_path / "mapped" / "push-config.yaml").read_text("utf-8"), "x").services
    assert {path: config.settings[path] for path in (NEW, MEDIA) if path in config.settings} == stated
    assert proposed == {path: True for path in (NEW, MEDIA, ADDED, REMOVED) if path not in stated}


# --- decided by a person ---------------------------------------------------------------------------------


def test_a_line_that_is_uncommented_is_written(run: Run, mapped: Path, server: StandInServer) -> None:
    path = mapped / "push-config.yaml"
    path.write_text(uncomment(path.read_text("utf-8")), "utf-8")
    plan = plan_of_load(run, mapped)
    assert (plan["proposals"], plan["live"], plan["changes"][0]["fields"]) == ([], {}, [NEW, MEDIA, ADDED, REMOVED])
    assert "push-inferred" not in {found["code"] for found in plan["findings"]}
    assert run("load", mapped, "--apply", "--yes").exit_code == 0
    assert live(server.world)[SERVICE][REMOVED] is True


def test_the_runbooks_command_uncomments_all_of_them(mapped: Path) -> None:
    path = mapped / "push-config.yaml"
    before = path.read_text("utf-8")
    (command,) = re.findall(
        r"^ +(sed .*) mapped/push-config.yaml$", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.M
    )
    subprocess.run([*shlex.split(command), path], check=True)
    assert path.read_text("utf-8") == uncomment(before) != before


def test_a_value_that_is_stated_otherwise_decides_and_what_follows_from_it_too(run: Run, mapped: Path) -> None:
    edit(mapped, "# enabled: true  # proposed: Chat does not say", "enabled: false  # not wanted")
    plan = plan_of_load(run, mapped)
    assert (plan["changes"], plan["proposals"]) == ([], [])


def test_a_service_that_was_taken_out_waits_for_nothing(run: Run, mapped: Path) -> None:
    (mapped / "push-config.yaml").write_text("format_version: 1\nservices: {}\n")
    plan = plan_of_load(run, mapped)
    assert plan["proposals"] == []
    assert {found["code"] for found in plan["findings"]} >= {"service-not-stated"}


chats = st.dictionaries(
    st.sampled_from([*default_rules().message_types, "log_enabled"]),
    st.none() | st.dictionaries(
        st.sampled_from(["enabled", "template", "sound"]), st.none() | st.booleans() | st.sampled_from(["${USER}", "a: # b", ""])
    ),
)  # fmt: skip
MEDIA_RULES = '[media]\ntemplate = "a # b\\n${MEDIA}: \\u2028"\n'


@given(chats, st.sets(st.sampled_from([*default_rules().targets])), st.sampled_from(["", MEDIA_RULES]), st.data())
@settings(max_examples=30)
def test_any_lines_can_be_uncommented_and_all_of_them_are_what_a_rule_trusts(
    chat: Any, asked: set[str], media: str, data: st.DataObject
) -> None:
    names = {name: 2 for name, target in default_rules().message_types.items() if target in asked}
    types = Counter({(target, "apn\n  evil: 1"): 2 for target in asked})
    counts = ServiceCounts(subscribers=Counter(dict.fromkeys(asked, 2)), askers=Counter(names), types=types)
    row = {"sid": SERVICE, "friendly_name": "x", "notifications": json.dumps(chat)}
    found = service_config(row, counts, override(media, "x"))
    trusted = service_config(row, counts, override(f'{media}[inference]\ndefault = "trust"', "x"))
    left = service_config(row, counts, override(f'{media}[inference]\ndefault = "leave"', "x"))
    assert (trusted.proposals, left.proposals) == ((), ())
    assert left.config.settings == found.config.settings
    text = dump([found.config], {}, found.proposals)
    assert parse(text, "x").services[0].settings == found.config.settings
    assert parse(uncomment(text), "x").services[0].settings == trusted.config.settings
    lines = [number for number, line in enumerate(text.split("\n")) if _COMMENTED.match(line)]
    assert len(lines) == len(found.proposals)
    some = data.draw(st.sets(st.sampled_from(lines))) if lines else set()
    edited = "\n".join(uncomment(line) if number in some else line for number, line in enumerate(text.split("\n")))
    assert len(parse(edited, "x").services[0].settings) == len(found.config.settings) + len(some)


# --- decided by a rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "stated", "proposed"),
    [
        ('default = "trust"', {NEW, MEDIA, ADDED, REMOVED}, set()),
        ('default = "leave"', set(), set()),
        ('new_message = "trust"', {NEW, MEDIA}, {ADDED, REMOVED}),
        ('default = "trust"\nremoved_from_conversation = "leave"', {NEW, MEDIA, ADDED}, set()),
        (f'{SERVICE} = "trust"\nnew_message = "leave"', {NEW, MEDIA, ADDED, REMOVED}, set()),
        (f'{SERVICE} = {{new_message = "trust"}}\ndefault = "leave"', {NEW, MEDIA}, set()),
        (
            f'default = "trust"\n[inference.{SERVICE}]\ndefault = "leave"\nnew_message = "propose"',
            set(),
            {NEW, MEDIA},
        ),
        (f'{service_sid(2)} = "trust"', set(), {NEW, MEDIA, ADDED, REMOVED}),
    ],
)
def test_rules_decide_for_all_by_push_and_by_service(
    tmp_path: Path, run: Run, mapped: Path, rules: str, stated: set[str], proposed: set[str]
) -> None:
    (tmp_path / "r.toml").write_text(f"[inference]\n{rules}\n")
    result = run("map", mapped.parent / "snapshot", "--out", tmp_path / "m", "--rules", tmp_path / "r.toml", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    (config,) = parse((tmp_path / "m" / "push-config.yaml").read_text("utf-8"), "x").services
    assert (set(config.settings), {found["path"] for found in summary["proposals"]}) == (stated, proposed)
    codes = {found["code"]: found["subject"] for found in summary["findings"]}
    assert ("push-trusted" in codes, "push-inferred" in codes) == (bool(stated), bool(proposed))
    assert codes.get("rule-unused") == (f"inference.{service_sid(2)}" if service_sid(2) in rules else None)


@pytest.mark.parametrize(
    ("rules", "line", "problem"),
    [
        ('new_mesage = "trust"', 2, "did you mean 'new_message'?"),
        ('default = "trusted"', 2, 'inference.default must be "propose", "leave" or "trust"; did you mean'),
        ('\nISx = "trust"', 3, "'ISx' in [inference] must be one of default, new_message"),
        (f"{SERVICE} = 1", 2, "or a table of these by push"),
        (f'{SERVICE} = {{foo = "trust"}}', 2, "and it has 'foo'"),
        (f'[inference.{SERVICE}]\ndefault = "yes"', 2, "a table in which default is"),
        ("default = {a = 1}", 2, "inference.default must be"),
    ],
)
def test_a_mistake_in_such_a_rule_is_told_with_its_line(
    tmp_path: Path, run: Run, rules: str, line: int, problem: str
) -> None:
    (tmp_path / "r.toml").write_text(f"[inference]\n{rules}\n")
    result = run("rules", "--rules", tmp_path / "r.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"r.toml line {line}: " in result.stderr
    assert problem in result.stderr


def test_rules_with_a_table_for_a_service_are_a_rules_file_again(tmp_path: Path, run: Run) -> None:
    (tmp_path / "r.toml").write_text(f'[inference.{SERVICE}]  # asked the owners\nnew_message = "trust"\n')
    shown = run("rules", "--rules", tmp_path / "r.toml").stdout
    assert f'{SERVICE} = {{new_message = "trust"}}' in shown
    (tmp_path / "again.toml").write_text(shown)
    assert "asked the owners" in run("rules", "--rules", tmp_path / "again.toml").stdout


# --- forced ----------------------------------------------------------------------------------------------


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


# --- files -----------------------------------------------------------------------------------------------


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


# --- shown -----------------------------------------------------------------------------------------------


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


def many(number: int) -> Plan:
    proposals = [
        Proposal(service_sid(place), path, True, "Chat does not say", 1_000, {"apn": 1_000})
        for place in range(number)
        for path in (NEW, ADDED)
    ]
    names = {service_sid(place): f"Service {place}" for place in range(number)}
    return replace(
        EMPTY,
        services=names,
        unchanged=tuple(names),
        proposals=tuple(proposals),
        live={sid: {} for sid in names},
    )


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
    folder, plan = open_mapped(mapped), open_plan(mapped.parent / "plan.json")
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
