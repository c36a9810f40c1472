"""What tests of retire start from: a world whose devices have come back, and what is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import Run, Serve, service_sid, tiny_world

PUSHING = {"new_message": {"enabled": True, "with_media": {"enabled": True}}}
SIGN = {"message_types": [["twilio.conversations.new_message"]], "age_days": 1}
PHONE = {"identity": "person-{n}", "endpoint": "phone-{n}"}
SERVICE = service_sid(1)


def content(**changes: Any) -> dict[str, Any]:
    """Of ten people four came back with their phone, one with another; one is expired, and the rest are waited for."""
    world = tiny_world(
        conversations_shows_chat=False,
        conversations=PUSHING,
        bindings=[
            {"count": 6, **PHONE},
            {"identity": "moved", "endpoint": "before"},
            {"identity": "late", "endpoint": "phone", "age_days": 500},
        ],
        conversations_bindings=[
            {"count": 4, **PHONE, **SIGN},
            {"identity": "moved", "endpoint": "after", **SIGN},
            {"identity": "late", "endpoint": "phone", **SIGN},
        ],
    )
    world["credentials"] = [{"name": kind, "type": kind} for kind in ("apn", "fcm", "gcm")]
    world["services"][0] |= {"credentials": {kind: kind for kind in ("apn", "fcm", "gcm")}, **changes}
    return world


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def world() -> World:
    return make_world(content())


@pytest.fixture
def server(serve: Serve, world: World) -> StandInServer:
    return serve(world)


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, server: StandInServer) -> Path:
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    return tmp_path / "snapshot"


def retire(run: Run, snapshot: Path, *options: object, force: bool = True) -> Result:
    """The command, applied without a question and beyond the limits of a small world."""
    forced = ("--force", "few-ready") if force else ()
    return run(
        "retire", snapshot, "--coverage", snapshot.with_name("coverage"), "--apply", "--yes", *forced, *options
    )


def chat(world: World) -> list[str]:
    """The endpoints that Chat still has."""
    return [str(binding.endpoint) for binding in world.services[SERVICE].bindings]


def journal_of(snapshot: Path) -> Path:
    return snapshot.with_name(snapshot.name + ".retire.jsonl")


def lines(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text("utf-8").splitlines()]


def told(result: Result) -> dict[str, int]:
    found: dict[str, int] = json.loads(result.stdout)["retired"]
    return {outcome: number for outcome, number in found.items() if number}


def one(chat: dict[str, Any], *registrations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A world with one phone in Chat, and registrations in Conversations, which pushes everything."""
    phone = {"identity": "i", "endpoint": "e", "age_days": 9}
    on = {"enabled": True}
    everything = {**PUSHING, "added_to_conversation": on, "removed_from_conversation": on}
    return content(**{
        "bindings": [{**phone, **chat}],
        "conversations_bindings": [{**phone, **SIGN, **registration} for registration in registrations],
        "conversations": everything,
        **changes,
    })  # fmt: skip


def several(*worlds: dict[str, Any]) -> dict[str, Any]:
    """Some worlds in one: a service for each."""
    return {**worlds[0], "services": [world["services"][0] for world in worlds]}
