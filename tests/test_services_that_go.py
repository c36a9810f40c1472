"""A service is deleted, or deleted and made again under another SID, between any two steps or within one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from migrate.standin.world import World
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from tests.conftest import Run, Serve, said, service_sid, tiny_world

ONE, OTHER, NEW = service_sid(1), service_sid(2), "IS" + "f" * 32
Goes = Callable[[World], None]


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def world(serve: Serve) -> World:
    """Two services of one name; all devices of theirs have registered with Conversations."""
    ready = [{"count": 3, "message_types": [["twilio.conversations.new_message"]], "endpoint": "{n}"}]
    bindings = {"bindings": [{"count": 3, "endpoint": "{n}"}], "conversations_bindings": ready}
    content = tiny_world(**bindings, conversations={}, conversations_shows_chat=False)
    content["services"] *= 2
    return serve(content).world


def is_deleted(world: World) -> None:
    world.services.pop(ONE, None)


def is_made_again(world: World) -> None:
    if gone := world.services.pop(ONE, None):
        world.services[NEW] = replace(gone, sid=NEW)


@pytest.fixture(params=[is_deleted, is_made_again])
def goes(request: pytest.FixtureRequest) -> Goes:
    found: Goes = request.param
    return found


def of(world: World) -> set[str]:
    """The services that something was written to."""
    return {write.split("/Services/")[1][:34] for write in world.writes}


def test_between_extract_and_load_it_blocks_and_nothing_of_the_new_one_is_written(
    tmp_path: Path, run: Run, world: World, goes: Goes
) -> None:
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    goes(world)
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    refused = run("load", tmp_path / "m", "--apply", "--yes")
    assert (refused.exit_code, said(refused).count("\n")) == (4, 1)
    assert "service-missing-on-target" in refused.stderr
    assert run("load", tmp_path / "m", "--apply", "--yes", "--force", "blockers").exit_code == 0
    assert of(world) == {OTHER}


def test_between_plan_and_apply_the_line_names_a_new_plan(tmp_path: Path, run: Run, world: World, goes: Goes) -> None:
    assert run("run", "--out", tmp_path).exit_code == 0
    goes(world)
    assert run("load", "--plan", tmp_path / "plan.json").exit_code == 5
    applied = run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes")
    assert (applied.exit_code, said(applied).count("\n")) == (6, 1)
    assert f"{ONE} is missing" in applied.stderr
    assert "If it was deleted: Make a new plan with: chat-migrate load MAPPED" in applied.stderr
    assert of(world) == {OTHER}


def test_between_apply_and_rollback_the_others_are_brought_back(
    tmp_path: Path, run: Run, world: World, goes: Goes
) -> None:
    assert run("run", "--out", tmp_path).exit_code == 0
    assert run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes").exit_code == 0
    goes(world)
    undone = run("rollback", tmp_path / "plan.journal.jsonl", "--apply", "--yes")
    assert undone.exit_code == 0, undone.output
    assert "service-missing-on-target" in undone.stdout
    assert not any((world.services[OTHER].configuration or {}).values())
    if NEW in world.services:
        assert any((world.services[NEW].configuration or {}).values())


def test_between_verify_and_retire_nothing_of_it_is_deleted(
    tmp_path: Path, run: Run, world: World, goes: Goes
) -> None:
    assert run("run", "--out", tmp_path).exit_code == 0
    assert run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes").exit_code == 0
    assert run("verify", tmp_path / "snapshot", "--coverage", tmp_path / "c").exit_code == 0
    goes(world)
    world.writes.clear()
    words = ["--coverage", tmp_path / "c", "--apply", "--yes", "--force", "few-ready"]
    retired = run("retire", tmp_path / "snapshot", *words)
    assert retired.exit_code == 0, retired.output
    assert of(world) <= {OTHER}
    assert all(write.startswith("DELETE ") for write in world.writes)


def while_bindings_are_read(monkeypatch: pytest.MonkeyPatch, world: World, goes: Goes) -> None:
    real = LiveTransport.send

    def send(transport: LiveTransport, request: Request) -> Answer:
        if "Bindings" in request.url:
            goes(world)
        return real(transport, request)

    monkeypatch.setattr(LiveTransport, "send", send)


def test_within_an_extract_the_line_says_so_and_the_command_that_it_names_works(
    tmp_path: Path, run: Run, world: World, goes: Goes, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_bindings_are_read(monkeypatch, world, goes)
    for _ in range(2):  # to resume is of no use
        broken = run("extract", "--out", tmp_path / "s")
        assert (broken.exit_code, broken.stderr.count("\n")) == (1, 1)
        assert f"service {ONE} was deleted while it was read" in broken.stderr
        assert "Resume with" not in broken.stderr
        assert f"Start over without it: chat-migrate extract --out {tmp_path / 's'}" in broken.stderr
        assert broken.stderr.endswith("--restart\n")
    assert run("extract", "--out", tmp_path / "s", "--restart").exit_code == 0
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["rows"] == 3 * len(world.services)


def test_within_a_verification_the_same_command_works_again(
    tmp_path: Path, run: Run, world: World, goes: Goes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    while_bindings_are_read(monkeypatch, world, goes)
    words = ["verify", tmp_path / "s", "--coverage", tmp_path / "c"]
    broken = run(*words)
    assert (broken.exit_code, broken.stderr.count("\n")) == (1, 1)
    assert f"service {ONE} was deleted while it was read" in broken.stderr
    assert f"Start over with: chat-migrate verify {tmp_path / 's'}" in broken.stderr
    done = run(*words, "--json")
    assert (done.exit_code, json.loads(done.stdout)["live"]["bindings"]) == (0, 3 * len(world.services))


def test_where_everything_is_404_no_service_is_called_deleted(
    tmp_path: Path, run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chat is switched off in the middle of an extract."""
    while_bindings_are_read(monkeypatch, world, is_deleted)
    refuse_further_lists(monkeypatch)
    broken = run("extract", "--out", tmp_path / "s")
    assert (broken.exit_code, "was deleted" in broken.stderr) == (1, False)
    assert "Resume with: chat-migrate extract" in broken.stderr


def refuse_further_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of services comes once; from then on it is 404, too."""
    real, asked = LiveTransport.send, [0]

    def send(transport: LiveTransport, request: Request) -> Answer:
        asked[0] += "/Services?" in request.url
        if "/Services?" in request.url and asked[0] > 1:
            return Answer(404, b'{"code": 20404, "message": "gone", "status": 404}', {})
        return real(transport, request)

    monkeypatch.setattr(LiveTransport, "send", send)
