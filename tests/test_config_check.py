"""What is said of a push configuration as it stands now: pushes that stay off, words that are nobody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from migrate.model.config_check import check_config
from migrate.model.push_config import ServiceConfig
from migrate.model.templates import Lengths
from migrate.review import open_mapped
from migrate.standin.world import World
from tests.conftest import Run, Serve, service_sid, tiny_world

SERVICE = service_sid(1)
ON: dict[str, bool | str] = {"new_message.enabled": True, "new_message.with_media.enabled": True}
TEXT: dict[str, bool | str] = {"new_message.with_media.template": "x"}
NEW, ADDED, MEDIA = "new_message.enabled", "added_to_conversation.enabled", "new_message.with_media.enabled"


def said(
    desired: dict[str, bool | str],
    live: dict[str, bool | str] | None,
    off_in_chat: tuple[str, ...] = (),
    **readers: int,
) -> dict[tuple[str, str], int]:
    found = check_config(ServiceConfig(SERVICE, "x", desired), live, readers, off_in_chat, Lengths())
    return {(finding.code, finding.subject): finding.count for finding in found}


@pytest.mark.parametrize("live", [None, {}, {NEW: False}])
@pytest.mark.parametrize("desired", [{}, {NEW: False}])
def test_a_push_that_devices_want_and_nobody_switches_on_is_told(desired: Any, live: Any) -> None:
    assert said(desired, live, new_message=3) == {("push-left-off", NEW): 3}
    assert said(desired, live, added_to_conversation=2) == {("push-left-off", ADDED): 2}
    assert not said(desired, live), "whom nobody waits for"
    assert not said(desired, live, (NEW,), new_message=3), "off in Chat already"


def test_what_is_on_or_is_switched_off_is_told_elsewhere() -> None:
    on = {**ON, **TEXT}
    assert not said({}, on, new_message=3)
    assert not said(on, {}, new_message=3)
    assert not said({NEW: False}, {**on, MEDIA: False}, new_message=3), "change-disables says it"


def test_media_messages_without_a_push_are_told_where_others_have_one() -> None:
    assert said({NEW: True}, {}, new_message=3) == {("push-left-off", MEDIA): 3}
    assert said({NEW: True, MEDIA: False}, None, new_message=3) == {("push-left-off", MEDIA): 3}
    assert not said({NEW: True}, {}, (NEW,), new_message=3), "Chat pushed neither"


@pytest.mark.parametrize(
    ("desired", "live", "told"),
    [
        (ON, {}, True),
        (ON, None, True),
        ({}, ON, True),
        (ON, TEXT, False),  # kept as it is there
        ({**ON, **TEXT}, {}, False),
        ({**ON, "new_message.with_media.template": ""}, TEXT, True),  # emptied
        ({**ON, MEDIA: False}, {}, False),  # no push, no words
        ({**ON, NEW: False}, {}, False),
    ],
)
def test_words_for_media_are_asked_for_where_there_are_none(desired: Any, live: Any, told: bool) -> None:
    codes = {code for code, _ in said(desired, live)}
    assert codes == ({"media-text"} if told else set())


def codes(run: Run, mapped: Path) -> dict[str, set[str]]:
    """Codes with their subjects: as the loader tells them, after it was seen that reviewers are told the same."""
    ours = ("push-left-off", "media-text", "template-reworded")
    loaded = json.loads(run("load", mapped, "--json").stdout)["findings"]
    found: dict[str, set[str]] = {}
    for finding in loaded:
        if finding["code"] in ours:
            found.setdefault(finding["code"], set()).add(finding["subject"])
    frame = open_mapped(mapped).findings
    reviewed = frame[frame["code"].isin(ours)]
    assert {(code, about) for code, some in found.items() for about in some} == set(
        zip(reviewed["code"], reviewed["about"], strict=True)
    )
    return found


def test_an_edit_is_judged_as_it_stands_and_its_remedies_work(tmp_path: Path, run: Run, serve: Serve) -> None:
    chat = {
        "new_message": {"enabled": True, "template": "${CHANNEL};${USER}: ${MESSAGE}"},
        "added_to_channel": {"enabled": True, "template": "You have been added to channel ${CHANNEL} by ${USER}"},
    }
    both = ["new_message", "added_to_channel"]
    serve(tiny_world(notifications=chat, bindings=[{"count": 2, "message_types": [both]}]))
    assert run("run", "--out", tmp_path).exit_code == 0
    mapped = tmp_path / "mapped"
    file = mapped / "push-config.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    stated = content["services"][SERVICE]["notifications"]
    reworded = {"template-reworded": {"added_to_conversation.template", "new_message.template"}}

    def edited() -> dict[str, set[str]]:
        file.write_text(yaml.safe_dump(content), "utf-8")
        return codes(run, mapped)

    assert edited() == {"media-text": {"new_message.with_media.template"}, **reworded}
    stated["new_message"]["with_media"]["template"] = "${PARTICIPANT}: ${MEDIA}"
    assert edited() == reworded
    del stated["new_message"]["with_media"]
    stated["added_to_conversation"]["enabled"] = False
    assert edited() == {"push-left-off": {MEDIA, ADDED}, **reworded}
    stated.clear()
    assert edited() == {"push-left-off": {NEW, ADDED}, **reworded}
    assert "× 2" in run("load", mapped).stdout


def test_media_left_alone_by_the_rules_is_told(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    (tmp_path / "rules.toml").write_text('[media]\nenabled = "leave"\n', "utf-8")
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    result = run("map", tmp_path / "s", "--out", tmp_path / "m", "--rules", tmp_path / "rules.toml")
    assert "push-left-off" in result.stdout
    assert MEDIA in result.stdout
