"""The stand-in as an oracle: which pushes a device may lose with a binding; and two sides with bindings of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrate.standin.deliveries import ADDED, INVITED, MEDIA, REMOVED, TEXT, lost_with
from migrate.standin.separate import separate
from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world

SERVICE = service_sid(1)
ON, OFF = {"enabled": True}, {"enabled": False}
EVERYTHING = {"new_message": {**ON, "with_media": ON}, "added_to_conversation": ON, "removed_from_conversation": ON}
PHONE = {"identity": "i", "endpoint": "e", "age_days": 9}
THEIRS = ["new_message", "added_to_conversation", "removed_from_conversation"]
ALL_OF_CHAT = ["new_message", "added_to_channel", "removed_from_channel", "invited_to_channel"]
CREDENTIALS = [
    {"name": "apn", "type": "apn", "sandbox": "False"}, {"name": "sandbox", "type": "apn", "sandbox": "True"},
    {"name": "fcm", "type": "fcm"}, {"name": "old", "type": "fcm", "updated_days_ago": 900}, {"name": "gcm", "type": "gcm"},
]  # fmt: skip


def lost(chat: dict[str, Any], theirs: dict[str, Any] | None, **changes: Any) -> set[str]:
    """What a phone loses with its binding of Chat; `credential` of either is one by name."""
    kinds = {"apn": "apn", "fcm": "fcm", "gcm": "gcm"}
    content = tiny_world(**{
        "credentials": kinds, "conversations": EVERYTHING, "conversations_shows_chat": False, "notifications": {},
        "bindings": [{**PHONE, **chat}],
        "conversations_bindings": [{**PHONE, "message_types": [THEIRS], "age_days": 1, **theirs}] if theirs is not None else [],
        **changes,
    })  # fmt: skip
    world = make_world({**content, "credentials": CREDENTIALS})
    service = world.services[SERVICE]
    by_name = {credential.friendly_name: sid for sid, credential in world.credentials.items()}
    for group, bindings in ((chat, service.bindings), (theirs or {}, service.conversations_bindings)):
        if "credential" in group:
            bindings[0].credential_sid = by_name.get(group["credential"], group["credential"])
    return set(lost_with(world, service, service.bindings[0]))


@pytest.mark.parametrize(
    ("chat", "theirs", "changes", "expected"),
    [
        ({}, {}, {}, set()),
        ({}, None, {}, {TEXT, MEDIA}),
        ({"message_types": [ALL_OF_CHAT]}, None, {}, {TEXT, MEDIA, ADDED, REMOVED, INVITED}),
        ({"message_types": [ALL_OF_CHAT]}, {}, {}, {INVITED}),
        ({"message_types": [[f"twilio.ipmsg.{name}" for name in ALL_OF_CHAT]]}, {}, {}, {INVITED}),
        ({"message_types": [ALL_OF_CHAT]}, {}, {"notifications": {"invited_to_channel": OFF}}, set()),
        ({"message_types": [ALL_OF_CHAT]}, {}, {"notifications": {"invited_to_channel": {"enabled": "false"}}}, {INVITED}),
        ({}, None, {"notifications": {"new_message": OFF}}, set()),
        ({}, None, {"notifications": "off"}, {TEXT, MEDIA}),
        ({}, {}, {"conversations": {"new_message": ON}}, {MEDIA}),
        ({}, {}, {"conversations": {}}, {TEXT, MEDIA}),
        ({}, {}, {"conversations": {"new_message": {"enabled": False, "with_media": ON}}}, {TEXT, MEDIA}),
        ({"message_types": [None]}, {}, {}, {INVITED, "whatever else it asks for"}),
        ({"message_types": [["pinned", "twilio.channel.consumption_update"]]}, {}, {}, {"what pinned is"}),
        ({}, {}, {"notifications": {"reaction": ON}}, {"what reaction is"}),
        ({}, {"message_types": [["twilio.conversations.new_message"]]}, {}, set()),
        ({}, {"message_types": [["new_message"]]}, {}, {TEXT, MEDIA}),
        ({}, {"message_types": [[*THEIRS, "added_to_channel"]]}, {}, {TEXT, MEDIA}),
        ({}, {"message_types": [None]}, {}, {TEXT, MEDIA}),
        ({}, {"endpoint": "f"}, {}, {TEXT, MEDIA}),
        ({}, {"identity": "j"}, {}, {TEXT, MEDIA}),
        ({}, {"binding_type": "fcm"}, {}, {TEXT, MEDIA}),
        ({"binding_type": "gcm"}, {"binding_type": "gcm"}, {}, {TEXT, MEDIA}),
        ({"binding_type": "gcm"}, {"binding_type": "fcm"}, {}, set()),
        ({"binding_type": "web"}, {"binding_type": "web"}, {}, {TEXT, MEDIA}),
        ({}, {"age_days": None}, {}, {TEXT, MEDIA}),
        ({}, {"age_days": 10}, {}, {TEXT, MEDIA}),
        ({"age_days": None}, {}, {}, {TEXT, MEDIA}),
        ({"age_days": 500}, {"age_days": 400}, {}, {TEXT, MEDIA}),
        ({}, {"age_days": -400}, {}, {TEXT, MEDIA}),
        ({}, {"credential": None}, {}, {TEXT, MEDIA}),
        ({}, {"credential": "fcm"}, {}, {TEXT, MEDIA}),
        ({}, {"credential": "sandbox"}, {}, {TEXT, MEDIA}),
        ({"binding_type": "fcm", "credential": "old"}, {"binding_type": "fcm", "credential": "old"}, {}, set()),
        ({"binding_type": "gcm"}, {"binding_type": "fcm", "credential": "old"}, {}, {TEXT, MEDIA}),
        ({"credential": None}, {}, {}, {TEXT, MEDIA}),
    ],
    ids=range(36),
)  # fmt: skip
def test_what_a_device_may_lose(
    chat: dict[str, Any], theirs: dict[str, Any] | None, changes: dict[str, Any], expected: set[str]
) -> None:
    assert lost(chat, theirs, **changes) == expected


def test_a_delete_is_seen_from_outside_with_what_it_cost(serve: Serve) -> None:
    import requests

    server = serve(tiny_world())
    world = server.world
    first, auth = world.services[SERVICE].bindings[0], (world.account_sid, world.auth_token)
    requests.delete(f"{server.url}/v2/Services/{SERVICE}/Bindings/{first.sid}", auth=auth, timeout=10)
    seen = requests.get(f"{server.url}/_standin", auth=auth, timeout=10).json()
    assert seen["losses"] == {first.sid: [MEDIA, TEXT]}


def test_separate_sides_give_something_to_retire_and_something_that_is_needed(
    tmp_path: Path, run: Run, demo: Demo, environment: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}

    def meanwhile(server: StandInServer, *_: object) -> None:
        for name in ("CHAT", "CONVERSATIONS"):
            environment.setenv(f"CHAT_MIGRATE_{name}_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", server.world.account_sid)
        environment.setenv("TWILIO_AUTH_TOKEN", server.world.auth_token)
        assert run("extract", "--out", tmp_path / "s").exit_code == 0
        shown = run("retire", tmp_path / "s", "--coverage", tmp_path / "c", "--json")
        assert shown.exit_code == 0, shown.output
        found.update(json.loads(shown.stdout), world=server.world)

    environment.setattr(StandInServer, "wait", meanwhile)
    served = run("standin", "--port", 0, "--snapshot", demo.folder / "snapshot", "--separate-bindings")
    assert served.exit_code == 0, served.output
    assert found["deletions"] > 5
    assert sum(service["needed"] for service in found["services"]) > 5
    for service in found["world"].services.values():
        chats, theirs = ({each.sid for each in some} for some in (service.bindings, service.conversations_bindings))
        assert not chats & theirs


def test_a_device_registers_once_and_only_with_a_credential_that_is_there(demo_world: World) -> None:
    before = {sid: list(service.conversations_bindings) for sid, service in demo_world.services.items()}
    separate(demo_world)
    for service in demo_world.services.values():
        theirs = service.conversations_bindings
        assert theirs[: len(before[service.sid])] == before[service.sid]
        made = theirs[len(before[service.sid]) :]
        assert all(demo_world.credentials[str(one.credential_sid)].type == one.binding_type for one in made)
        devices = [(one.identity, one.endpoint) for one in made]
        assert len(devices) == len(set(devices))
        assert [one.number for one in theirs] == sorted(one.number for one in theirs)
    none = make_world({**tiny_world(), "credentials": [{"name": "push", "type": "gcm"}]})
    none.services["IS2"] = make_world(tiny_world(conversations=None)).services[SERVICE]
    separate(none)
    assert not any(service.conversations_bindings for service in none.services.values())
