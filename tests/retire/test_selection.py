"""Which bindings retire deletes: those whose replacement is shown on both sides, and no others."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.standin.server import StandInServer
from migrate.standin.world import Binding
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Run, Serve, service_sid
from tests.retire.conftest import SERVICE, SIGN, chat, content, journal_of, lines, one, retire, several, told


def test_a_dry_run_deletes_nothing_and_leaves_nothing_behind(
    tmp_path: Path, run: Run, server: StandInServer, snapshot: Path
) -> None:
    """Neither a point of the curve that `verify` draws, nor the name of a journal that is not there."""
    before = sorted(tmp_path.rglob("*"))
    shown = run("retire", snapshot, "--coverage", tmp_path / "coverage")
    assert (shown.exit_code, server.world.writes) == (0, [])
    assert re.search(rf"{SERVICE}  Tiny\n +4 +0 +1 +0 +2 +1 +71\.4 %", shown.stdout), shown.stdout
    assert "to be deleted: 4 bindings. Nothing was deleted." in shown.stdout
    assert "cannot be brought back" in shown.stdout
    assert ".retire.jsonl" not in shown.stdout
    assert "Coverage" not in shown.stdout
    told_in_json = json.loads(run("retire", snapshot, "--coverage", tmp_path / "coverage", "--json").stdout)
    assert (told_in_json["journal"], "coverage_file" in told_in_json) == (None, False)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_leaves_the_coverage_folder_as_it_is_and_names_a_journal_that_is_there(
    tmp_path: Path, run: Run, server: StandInServer, snapshot: Path
) -> None:
    assert run("verify", snapshot, "--coverage", tmp_path / "coverage").exit_code == 0
    points = sorted((tmp_path / "coverage").iterdir())
    assert run("retire", snapshot, "--coverage", tmp_path / "coverage").exit_code == 0
    assert sorted((tmp_path / "coverage").iterdir()) == points
    assert retire(run, snapshot).exit_code == 0
    assert len(sorted((tmp_path / "coverage").iterdir())) == len(points) + 1
    assert str(journal_of(snapshot)) in run("retire", snapshot, "--coverage", tmp_path / "coverage").stdout


def test_devices_that_came_back_are_deleted_and_no_others(run: Run, server: StandInServer, snapshot: Path) -> None:
    done = retire(run, snapshot)
    assert done.exit_code == 0, done.output
    assert "Done: 4 bindings deleted." in done.stdout
    assert chat(server.world) == ["phone-0005", "phone-0006", "before", "phone"]
    assert len(server.world.services[SERVICE].conversations_bindings) == 6
    assert all(write.startswith("DELETE /v2/Services/IS") for write in server.world.writes)
    journal = journal_of(snapshot)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert len(lines(journal)) == 1 + 2 * len(server.world.writes)
    assert b"person" not in journal.read_bytes()
    assert b"phone" not in journal.read_bytes()
    again = retire(run, snapshot, "--json")
    assert again.exit_code == 0
    found = json.loads(again.stdout)
    assert (found["deletions"], found["services"][0]["earlier"]) == (0, 4)
    assert len(server.world.writes) == 4


def test_another_device_of_the_user_is_no_proof_whatever_is_asked_for(
    run: Run, server: StandInServer, snapshot: Path
) -> None:
    """An iPad that registered with Conversations says nothing of the iPhone that Chat knows."""
    shown = json.loads(run("retire", snapshot, "--json", "--coverage", snapshot.parent / "c").stdout)
    assert shown["services"][0]["deletions"] == {"by_device": 4}
    assert shown["services"][0]["needed_because"] == {"other-device": 1}
    assert retire(run, snapshot, "--also-by-platform").exit_code == 2
    assert server.world.writes == []


def test_what_conversations_lists_by_the_same_sid_is_never_deleted(tmp_path: Path, run: Run, serve: Serve) -> None:
    """Chat's own bindings: to delete one may be to delete the other."""
    server = serve(content(conversations_shows_chat=True))
    assert run("extract", "--out", tmp_path / "s", "--source", "chat").exit_code == 0
    forced = [item for name in ("few-ready", "many-bindings", "old-snapshot") for item in ("--force", name)]
    done = retire(run, tmp_path / "s", *forced)
    assert (done.exit_code, server.world.writes) == (0, [])
    assert "To be deleted: 0 bindings." in done.stdout


def test_it_is_looked_at_once_more_just_before(run: Run, server: StandInServer, snapshot: Path) -> None:
    """Since the list was made, one re-registered, one went, one showed up in Conversations by its own SID, and what
    made one ready has gone.
    """
    real, world = TwilioApi.reset_budget, server.world
    service = world.services[SERVICE]

    def meanwhile(api: TwilioApi) -> None:
        service.bindings[0].updated = world.now
        service.conversations_bindings.append(service.bindings[1])
        service.bindings.pop(2)
        service.conversations_bindings.pop(3)  # what made the fourth ready
        real(api)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwilioApi, "reset_budget", meanwhile)
        done = retire(run, snapshot, "--json")
    assert (done.exit_code, world.writes) == (0, [])
    assert told(done) == {"gone": 1, "changed": 1, "shared": 1, "unready": 1}
    shown = retire(run, snapshot)
    assert "1 binding not as in the snapshot any more, and left alone" in shown.stdout
    assert (shown.exit_code, world.writes) == (0, [])


def test_one_service_alone(tmp_path: Path, run: Run, serve: Serve) -> None:
    both = content()
    both["services"] *= 2
    server = serve(both)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert retire(run, tmp_path / "s", "--service", service_sid(2)).exit_code == 0
    assert {write.split("/")[3] for write in server.world.writes} == {service_sid(2)}
    unknown = retire(run, tmp_path / "s", "--service", service_sid(9))
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (2, 1)


people = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["apn", "fcm"]), st.sampled_from([9, 400])
    ),
    max_size=6,
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(chats=people, registrations=people)
def test_it_is_what_going_one_by_one_finds(
    tmp_path: Path, run: Run, serve: Serve, chats: Any, registrations: Any
) -> None:
    groups = [
        [
            {"identity": who, "endpoint": device, "binding_type": kind, **more, "age_days": age - len(more)}
            for who, device, kind, age in some
        ]
        for some, more in ((chats, {}), (registrations, SIGN))
    ]
    server = serve(content(bindings=groups[0], conversations_bindings=groups[1]))
    folder = tmp_path / os.urandom(4).hex()
    assert run("extract", "--out", folder).exit_code == 0
    before = server.world.services[SERVICE].bindings[:]
    # Where all have expired there is nothing to wait for, and nothing is shown by that.
    assert retire(run, folder).exit_code == (0 if any(age < 365 for *_, age in chats) else 4)
    devices = {(who, device, kind) for who, device, kind, age in registrations if age < 365}
    day = server.world.now - timedelta(days=365)

    def goes(binding: Binding) -> bool:
        device = (str(binding.identity), str(binding.endpoint), binding.binding_type)
        return device in devices and (binding.updated or day) >= day

    assert server.world.services[SERVICE].bindings == [one for one in before if not goes(one)]


# What Chat has, what Conversations has, how many are deleted, and why.
WHO: list[tuple[dict[str, Any], list[dict[str, Any]], int, str]] = [
    ({}, [{}], 1, "the same phone"),
    ({}, [{"binding_type": "fcm"}], 0, "another push of it"),
    ({}, [{"binding_type": "twilsock"}], 0, "a browser"),
    ({"binding_type": "gcm"}, [{"binding_type": "fcm"}], 1, "GCM comes back as FCM"),
    ({"endpoint": ""}, [{"endpoint": ""}], 0, "no device"),
    ({"identity": ""}, [{"identity": ""}], 0, "nobody"),
    ({}, [{"age_days": 400}], 0, "a registration that is dead"),
    ({"age_days": 0.5}, [{}], 0, "Chat has seen it later"),
    ({"age_days": None}, [{}], 0, "Chat may have seen it later"),
    ({}, [{"age_days": None}], 0, "it may have registered before Chat saw it"),
    ({"binding_type": "fcm"}, [{"binding_type": "gcm"}], 0, "GCM is dead"),
    ({"binding_type": "gcm"}, [{"binding_type": "gcm"}], 0, "GCM is dead"),
    ({"message_types": [["new_message", "added_to_channel"]]}, [{}], 0, "a push would be lost"),
    ({"message_types": [["twilio.channel.removed_from_channel"]]}, [{}], 0, "a push would be lost"),
    ({"message_types": [None]}, [{}], 0, "it may ask for any push"),
    ({"message_types": [["invited_to_channel"]]}, [{}], 0, "Chat may push invites"),
    ({"message_types": [["new_message", "reaction_added"]]}, [{}], 0, "who knows what that is"),
    ({"message_types": [["new_message", "twilio.ipmsg.typing_indicator"]]}, [{}], 1, "that is no push"),
    ({"message_types": [[]]}, [{}], 1, "it asks for nothing"),
    ({}, [{"message_types": [["twilio.conversations.typing_indicator"]]}], 0, "no push at all"),
    (
        {"message_types": [["added_to_channel"]]},
        [{"message_types": [["added_to_conversation"]]}], 1, "the same push by another name",
    ),
    ({"message_types": [["twilio.conversations.new_message"]]}, [{}], 0, "Conversations' own"),
    ({}, [{"endpoint": "f"}, {"endpoint": "g"}], 0, "other phones"),
]  # fmt: skip


def test_who_is_deleted(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(several(*(one(chat, *registrations) for chat, registrations, _, _ in WHO)))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert retire(run, tmp_path / "s", "--min-ready", 0).exit_code == 0
    deleted = {write.split("/")[3] for write in server.world.writes}
    for number, (_, _, expected, why) in enumerate(WHO, 1):
        assert (service_sid(number) in deleted) == bool(expected), (number, why)


CHANGES: list[dict[str, Any]] = [
    {"endpoint": "another"}, {"binding_type": "fcm"}, {"credential_sid": "CR" + "9" * 32}, {"credential_sid": None},
    {"identity": "another"}, {"updated": None}, {"created": None}, {"message_types": None}, {"updated": datetime(9000, 1, 1, tzinfo=UTC)},
    {"message_types": ["new_message"]}, {"message_types": ["twilio.conversations.new_message", "new_message"]},
    {"extra": {"message_types": "new_message"}}, {"extra": {"message_types": [7]}}, {"extra": {"date_updated": 7}},
    {"extra": {"date_updated": "soon"}}, {"extra": {"identity": ["i"]}}, {"extra": {"credential_sid": {}}},
]  # fmt: skip


def test_a_registration_that_has_changed_since_the_list_makes_no_device_ready(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(several(*(one({}, {}) for _ in [*CHANGES, {}])))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    real = TwilioApi.reset_budget

    def meanwhile(api: TwilioApi) -> None:
        for service, change in zip(server.world.services.values(), CHANGES, strict=False):
            for name, value in change.items():
                setattr(service.conversations_bindings[0], name, value)
        real(api)

    environment.setattr(TwilioApi, "reset_budget", meanwhile)
    done = retire(run, tmp_path / "s", "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 1, "unready": len(CHANGES)})
    assert server.world.writes[0].split("/")[3] == service_sid(len(CHANGES) + 1)


def test_the_list_is_made_anew_each_time(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """What a reading that was broken off has left may be a day old, and nobody ready by now."""
    pages, stopped = TwilioApi.pages, False

    def breaking_off(api: TwilioApi, name: Any, path: str, **options: Any) -> Any:
        nonlocal stopped
        yield from pages(api, name, path, **options)
        if path.endswith("/Bindings"):
            stopped = True
            raise KeyboardInterrupt

    with environment.context() as patch:
        patch.setattr(TwilioApi, "pages", breaking_off)
        assert retire(run, snapshot).exit_code == 130
    assert stopped
    server.world.services[SERVICE].conversations_bindings.clear()
    done = retire(run, snapshot, "--json")
    assert (done.exit_code, server.world.writes, json.loads(done.stdout)["deletions"]) == (0, [], 0)
