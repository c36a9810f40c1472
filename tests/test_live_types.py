"""Settings that Conversations shows in a form that nobody has documented are not known: not the same, not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.standin import views
from migrate.standin.world import World
from tests.applying import codes
from tests.conftest import Run, Serve, said, service_sid, tiny_world

Show = Callable[[Any], None]  # has the stand-in show the first service's `new_message` so
ONE, OTHER = service_sid(1), service_sid(2)
SWITCH = "new_message.enabled"
ODD: list[Any] = [
    {"enabled": "true"},
    {"enabled": 0},
    {"enabled": {"value": True}},
    {"enabled": 10**400},
    [],
    "on",
]
CHAT = {"enabled": True, "template": "${USER}: ${MESSAGE}", "sound": "horn", "badge_count_enabled": True}


@pytest.fixture
def world(serve: Serve) -> World:
    """Two services, of which Chat says the same."""
    content = tiny_world(notifications={"new_message": CHAT})
    content["services"] *= 2
    return serve(content).world


@pytest.fixture
def show(world: World, monkeypatch: pytest.MonkeyPatch) -> Show:
    real = views.notifications

    def shown(new_message: Any) -> None:
        def odd(found: World, service: Any, *rest: Any) -> dict[str, Any]:
            usual = real(found, service, *rest)
            if service.sid != ONE:
                return usual
            if isinstance(new_message, dict):
                return {**usual, "new_message": {**usual["new_message"], **new_message}}
            return {**usual, "new_message": new_message}

        monkeypatch.setattr(views, "notifications", odd)

    return shown


@pytest.fixture
def mapped(tmp_path: Path, run: Run, world: World) -> Path:
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    return tmp_path / "m"


def written(world: World) -> set[str]:
    return {write.split("/Services/")[1][:34] for write in world.writes}


@pytest.mark.parametrize("odd", ODD)
def test_a_switch_that_cannot_be_read_is_not_off_and_is_not_written(
    tmp_path: Path, run: Run, world: World, mapped: Path, show: Show, odd: Any
) -> None:
    show(odd)
    words = ["load", mapped, "--plan-out", tmp_path / "p.json"]
    planned = run(*words, "--json")
    assert planned.exit_code == 0, planned.output
    found = [one for one in json.loads(planned.stdout)["findings"] if one["code"] == "target-value-unreadable"]
    assert {one["service_sid"] for one in found} == {ONE}
    assert SWITCH in {one["subject"] for one in found}
    changes = json.loads((tmp_path / "p.json").read_bytes())["changes"]
    assert all(SWITCH not in change["fields"] for change in changes if change["service_sid"] == ONE)
    assert any(SWITCH in change["fields"] for change in changes if change["service_sid"] == OTHER)
    assert run("load", "--plan", tmp_path / "p.json", "--apply", "--yes").exit_code == 0
    assert OTHER in written(world)
    assert run("rollback", tmp_path / "p.journal.jsonl", "--apply", "--yes").exit_code == 0
    assert SWITCH not in (world.services[ONE].configuration or {})


@pytest.mark.parametrize("null", [None, {"enabled": None}, {"enabled": None, "with_media": None, "sound": None}])
def test_null_is_not_set(run: Run, mapped: Path, show: Show, null: Any) -> None:
    show(null)
    assert "target-value-unreadable" not in codes(run("load", mapped, "--json"))


def test_what_becomes_unreadable_after_the_plan_is_stale_in_the_preview_and_in_the_apply(
    tmp_path: Path, run: Run, world: World, mapped: Path, show: Show
) -> None:
    plan = tmp_path / "p.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    show({"template": 5})  # it was not set when the plan was made
    preview = run("load", "--plan", plan)
    assert (preview.exit_code, ONE in preview.stderr) == (5, True)
    applied = run("load", "--plan", plan, "--apply", "--yes")
    assert (applied.exit_code, said(applied).count("\n")) == (5, 1)
    assert "is stale" in applied.stderr
    assert written(world) == {OTHER}


def test_what_becomes_unreadable_after_an_apply_is_left_alone_by_a_rollback(
    tmp_path: Path, run: Run, world: World, mapped: Path, show: Show
) -> None:
    plan = tmp_path / "p.json"
    assert run("load", mapped, "--plan-out", plan).exit_code == 0
    assert run("load", "--plan", plan, "--apply", "--yes").exit_code == 0
    world.writes.clear()
    show({"enabled": "true"})
    undone = run("rollback", tmp_path / "p.journal.jsonl", "--json")
    assert [(one["code"], one["subject"]) for one in json.loads(undone.stdout)["findings"]] == [
        ("rollback-left-alone", SWITCH)
    ]
    assert run("rollback", tmp_path / "p.journal.jsonl", "--apply", "--yes").exit_code == 5
    assert (world.services[ONE].configuration or {})[SWITCH] is True


def test_what_is_read_back_unreadable_was_not_applied(
    tmp_path: Path, run: Run, world: World, mapped: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrate.twilio_api.client import TwilioApi

    real = TwilioApi.post

    def post(*arguments: Any) -> Any:
        show({"sound": ["horn"]})
        return real(*arguments)

    monkeypatch.setattr(TwilioApi, "post", post)
    applied = run("load", mapped, "--apply", "--yes")
    assert applied.exit_code in (1, 6)
    assert "new_message.sound is of a type that is not documented" in applied.stdout


def test_a_proposal_for_what_cannot_be_read_is_not_written_by_force_either(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = serve(tiny_world(notifications={})).world
    assert run("run", "--out", tmp_path).exit_code == 0
    real = views.notifications
    monkeypatch.setattr(views, "notifications", lambda *given: {**real(*given), "new_message": "on"})
    forced = run("load", tmp_path / "mapped", "--apply", "--yes", "--force", "inferred", "--json")
    assert forced.exit_code == 0, forced.output
    assert "target-value-unreadable" in {one["code"] for one in json.loads(forced.stdout)["findings"]}
    assert not any(SWITCH in (service.configuration or {}) for service in world.services.values())


def test_settings_of_another_service_are_nobodys(
    tmp_path: Path, run: Run, world: World, mapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache in between may answer with what it has kept."""
    real = views.notifications
    monkeypatch.setattr(views, "notifications", lambda *given: {**real(*given), "chat_service_sid": OTHER})
    refused = run("load", mapped)
    assert (refused.exit_code, said(refused).count("\n")) == (1, 1)
    assert f"The settings of {ONE} were asked for, and those of {OTHER} came" in refused.stderr
    assert world.writes == []


@pytest.mark.parametrize("odd", [{"enabled": "true"}, "on"])
def test_every_command_ends_well_beside_odd_settings(
    tmp_path: Path, run: Run, mapped: Path, world: World, show: Show, odd: Any
) -> None:
    show(odd)
    checks = json.loads(run("doctor", "--json").stdout)["checks"]
    (check,) = [check for check in checks if check["name"] == "push settings"]
    assert (check["verdict"], SWITCH in check["found"]) == ("wrong", True)
    for words in (
        ["extract", "--out", tmp_path / "t"],
        ["map", tmp_path / "t", "--out", tmp_path / "n"],
        ["verify", tmp_path / "s", "--coverage", tmp_path / "c"],
        ["run", "--out", tmp_path / "r"],
        ["retire", tmp_path / "s", "--coverage", tmp_path / "c"],
    ):
        result = run(*words)
        assert (result.exit_code, said(result)) == (0, ""), result.output
    stuck = run("retire", tmp_path / "s", "--coverage", tmp_path / "c", "--apply", "--yes")
    assert stuck.exit_code in (0, 4)
    assert world.writes == []


@pytest.mark.parametrize(
    "odd", [{"enabled": 10**400}, "on", {"sound": 5, "template": {}, "badge_count_enabled": "yes"}]
)
def test_odd_settings_in_chat_are_told_and_stop_nothing(tmp_path: Path, run: Run, serve: Serve, odd: Any) -> None:
    content = tiny_world(notifications={"new_message": odd, "log_enabled": "true", "more": {"a": [1]}})
    content["services"].append(tiny_world()["services"][0])
    world = serve(content).world
    done = run("run", "--out", tmp_path, "--json")
    assert (done.exit_code, said(done)) == (0, ""), done.output
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    told = {one["subject"] for one in plan["findings"] if one["code"] == "setting-unknown"}
    assert {"log_enabled", "more.a"} <= told
    assert OTHER in {change["service_sid"] for change in plan["changes"]}
    assert run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes").exit_code == 0
    assert "log_enabled" not in (world.services[ONE].configuration or {})
