"""One service's fault in Chat stops that value of that service alone, and is told when it is mapped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.mapped_folder import open_mapped
from migrate.map.mapping import map_snapshot
from migrate.map.push_config_yaml import parse
from tests.applying import live
from tests.conftest import Run, Serve, said, service_sid, tiny_world
from tests.snapshots import binding, write_snapshot

ONE, OTHER = service_sid(1), service_sid(2)
HALF = "Taxi \ud83d"
GOOD = {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}", "sound": "horn"}}


def two(first: Any, **changes: Any) -> dict[str, Any]:
    """A world of two services; the first has these notifications."""
    world = tiny_world(notifications=first, **changes)
    world["services"].append({**tiny_world()["services"][0], "name": "Second", "notifications": GOOD})
    return world


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("push", "subject"),
    [
        ({"template": HALF}, "new_message.template: half of a character (a lone surrogate)"),
        ({"sound": "\udc00"}, "new_message.sound: half of a character (a lone surrogate)"),
        ({"template": "a\x00b"}, "new_message.template: a control character (U+0000)"),
        ({"template": "a\x1b[31m"}, "new_message.template: a control character (U+001B)"),
        ({"sound": "\x85"}, "new_message.sound: a control character (U+0085)"),
    ],
)
def test_a_value_that_cannot_be_sent_is_left_out_and_all_else_is_carried(
    tmp_path: Path, run: Run, serve: Serve, push: dict[str, Any], subject: str
) -> None:
    server = serve(two({"log_enabled": True, "new_message": {"enabled": True, **push}}))
    mapped = tmp_path / "mapped"
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    told = run("map", tmp_path / "snapshot", "--out", mapped)
    assert told.exit_code == 0, told.output
    assert "setting-unfit" in told.stdout
    assert subject in told.stdout
    found = [
        one
        for one in json.loads((mapped / "summary.json").read_bytes())["findings"]
        if one["code"] == "setting-unfit"
    ]
    assert [(one["service_sid"], one["subject"]) for one in found] == [(ONE, subject)]
    assert run("load", mapped, "--apply", "--yes").exit_code == 0
    after = live(server.world)
    assert after[ONE]["log_enabled"] is after[ONE]["new_message.enabled"] is True
    assert not {f"new_message.{key}" for key in push} & {path for path, value in after[ONE].items() if value}
    assert after[OTHER]["new_message.template"] == "${PARTICIPANT}: ${MESSAGE}"


def test_a_text_that_a_rule_sends_to_media_too_is_left_out_of_both(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(two({"new_message": {"enabled": True, "template": HALF}}))
    (tmp_path / "r.toml").write_text('[media]\ntemplate = "as new_message"\n')
    assert run("run", "--out", tmp_path / "o", "--rules", tmp_path / "r.toml").exit_code == 0
    one, other = open_mapped(tmp_path / "o" / "mapped").configs
    assert set(one.settings) == {"new_message.enabled", "new_message.with_media.enabled"}
    assert other.settings["new_message.with_media.template"] == "${PARTICIPANT}: ${MESSAGE}"


def test_a_name_that_cannot_be_stored_is_told(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(two(GOOD, name=HALF))
    done = run("run", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    assert [one["service_sid"] for one in plan["findings"] if one["code"] == "setting-unfit"] == [ONE]
    assert {change["service_sid"] for change in plan["changes"]} == {ONE, OTHER}


def test_half_an_emoji_in_conversations_stops_no_service(tmp_path: Path, run: Run, serve: Serve) -> None:
    """What is live there is shown, kept as the before-image, and put back by nobody."""
    server = serve(two(GOOD, conversations={"new_message": {"enabled": True, "template": HALF, "sound": "\x00"}}))
    done = run("run", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes").exit_code == 0
    assert live(server.world)[ONE]["new_message.template"] == "${PARTICIPANT}: ${MESSAGE}"
    undone = run("rollback", tmp_path / "plan.journal.jsonl", "--apply", "--yes")
    assert undone.exit_code in (1, 6)
    assert said(undone).count("\n") == 1
    assert "half of a character" in undone.output
    assert live(server.world)[OTHER].get("new_message.enabled", False) is False


words = st.text(max_size=6) | st.sampled_from(
    [HALF, "\x00", "${USER", "${PARTICIPANT}", "from  in ", "\u2028", "\ufeff", "x" * 5_000]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
push = st.dictionaries(st.sampled_from(["enabled", "template", "sound", "badge_count_enabled", "x"]), anything)
notifications = anything | st.dictionaries(
    st.sampled_from(["log_enabled", "new_message", "added_to_channel", "removed_from_channel", "invited_to_channel"])
    | words,
    anything | push,
)


@given(notifications.map(json.dumps) | st.sampled_from(["{", '{"a":' * 9_999, "1" * 5_000, "null", "NaN"]))
@settings(max_examples=15, deadline=None)
def test_whatever_one_service_has_the_other_is_mapped_as_ever(
    tmp_path_factory: pytest.TempPathFactory, said: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "one-fault"
    shutil.rmtree(folder, ignore_errors=True)
    services = {
        ONE: {"friendly_name": "one", "notifications": said, "conversations_notifications": said},
        OTHER: {"friendly_name": "other", "notifications": json.dumps(GOOD)},
    }
    rows = [binding(1, message_types=["new_message", "added_to_channel"])]
    write_snapshot(folder / "s", services, {ONE: [rows], OTHER: [[binding(2)]]})
    map_snapshot(folder / "s", folder / "m")
    opened = open_mapped(folder / "m")
    one, other = opened.configs
    assert other.settings == {
        "new_message.enabled": True,
        "new_message.template": "${PARTICIPANT}: ${MESSAGE}",
        "new_message.sound": "horn",
        "new_message.with_media.enabled": True,
    }
    for value in one.settings.values():
        str(value).encode()  # whatever is stated can be sent
    text = (folder / "m" / "push-config.yaml").read_text("utf-8")
    assert parse(text.replace("# enabled: true  # proposed", "enabled: true  # proposed"), "x").services[1] == other
