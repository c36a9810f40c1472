"""What is inferred is proposed, and a person or a rule decides it."""

from __future__ import annotations

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

from migrate.map.counts import ServiceCounts
from migrate.map.notifications import service_config
from migrate.map.push_config_yaml import dump, parse
from migrate.map.rules_toml import default_rules, override
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from tests.applying import live
from tests.conftest import ROOT, Run, Serve, service_sid
from tests.proposals.conftest import ADDED, ALL, MEDIA, NEW, REMOVED, SERVICE, edit, silent

_COMMENTED = re.compile(r"^( +)# (\S+: .*  # proposed: .*)$", re.MULTILINE)


def uncomment(text: str, *paths: str) -> str:
    """What a person does to proposals, to all or to some lines."""
    return _COMMENTED.sub(
        lambda found: found[1] + found[2] if not paths or found[2].partition(":")[0] in paths else found[0], text
    )


def plan_of_load(run: Run, mapped: Path, *options: object) -> Any:
    result = run("load", mapped, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


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
@settings(max_examples=18)
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
