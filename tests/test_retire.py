"""Retire: only what is ready is deleted, only as it was seen, nothing that Conversations lists, and each delete once."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.cli.app import cli
from migrate.load.account_lock import only_loader
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.retire import journal as retire_journal
from migrate.retire.limits import LIMITS
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import Binding, World, make_world
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer
from tests.applying import dying, mortal
from tests.conftest import ROOT, Run, Serve, said, service_sid, tiny_world

PUSHING = {"new_message": {"enabled": True, "with_media": {"enabled": True}}}
SIGN = {"message_types": [["twilio.conversations.new_message"]], "age_days": 1}
PHONE = {"identity": "person-{n}", "endpoint": "phone-{n}"}
SERVICE = service_sid(1)
PACKAGE = ROOT / "migrate"


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


# --- what is deleted, and what is not --------------------------------------------------------------------


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


def test_a_push_that_is_switched_off_while_deletes_are_under_way_keeps_the_rest(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """Each is judged by what is live just before it, and not by what was when the list was made."""
    real = TwilioApi.delete

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        real(api, name, path)
        if len(server.world.writes) == 2:
            server.world.services[SERVICE].configuration = {"new_message.enabled": True}

    environment.setattr(TwilioApi, "delete", delete)
    done = retire(run, snapshot, "--json", "--concurrency", 1)
    assert (done.exit_code, told(done), len(server.world.writes)) == (0, {"deleted": 2, "needed": 2}, 2)
    assert json.loads(done.stdout)["needed_because"] == {"media-off": 2}
    assert not any(server.world.losses.values())
    environment.setattr(TwilioApi, "delete", real)
    again = retire(run, snapshot)  # which has nothing to do, and says why
    assert (again.exit_code, len(server.world.writes)) == (0, 2)
    assert (
        "2  pushes of media messages are off in Conversations: load first, and decide its proposals" in again.stdout
    )


@pytest.mark.parametrize("status", [503, 429])
def test_a_phone_that_registers_while_a_delete_is_tried_again_keeps_its_binding(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int
) -> None:
    real, tried = TwilioApi.delete, False
    first = server.world.services[SERVICE].bindings[0]

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        nonlocal tried
        if path.endswith(first.sid) and not tried:
            tried = True
            first.updated = server.world.now
            raise TransientTwilioError("later", status=status)
        real(api, name, path)

    environment.setattr(TwilioApi, "delete", delete)
    done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 3, "changed": 1})
    assert first in server.world.services[SERVICE].bindings
    assert [line["status"] for line in lines(journal_of(snapshot)) if line.get("result") == first.sid] == ["failed"]


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


SILENT: list[Any] = [
    {}, None, [], "none", 7, {"new_message": {}}, {"new_message": None}, {"new_message": []}, {"new_message": "on"},
    {"new_message": {"enabled": "true"}}, {"new_message": {"enabled": "false"}}, {"new_message": {"enabled": None}},
    {"new_message": {"enabled": 0}}, {"new_message": {"enabled": []}}, {"added_to_channel": {"enabled": True}},
]  # fmt: skip


def test_a_chat_that_does_not_say_is_not_taken_to_push_nothing(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(several(*(one({}, {}, conversations={}, notifications=said) for said in SILENT)))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s")
    assert (refused.exit_code, server.world.writes) == (4, [])
    assert "does not push new_message, new_message.with_media" in refused.stderr.splitlines()[-1]
    for service in server.world.services.values():
        service.configuration = {"new_message.enabled": True, "new_message.with_media.enabled": True}
    done = retire(run, tmp_path / "s")
    assert (done.exit_code, len(server.world.writes)) == (0, len(SILENT)), done.output


def test_pushes_must_be_on_in_conversations_and_no_force_lifts_that(tmp_path: Path, run: Run, serve: Serve) -> None:
    content = one({}, {}, conversations={"added_to_conversation": {"enabled": True}})
    content["services"] *= 2
    server = serve(content)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    every = [item for name in LIMITS for item in ("--force", name)]
    refused = retire(run, tmp_path / "s", *every, "--min-ready", 0)
    assert (refused.exit_code, server.world.writes) == (4, [])
    assert (
        f"[pushes-off] Conversations does not push new_message, new_message.with_media of {SERVICE}" in refused.stderr
    )
    assert f"new_message, new_message.with_media of {service_sid(2)}, as Chat does" in refused.stderr
    assert "decide its proposals (state them in push-config.yaml, trust them under [inference]" in refused.stderr
    assert "load them with --force inferred): chat-migrate load MAPPED" in refused.stderr
    assert retire(run, tmp_path / "s", "--force", "pushes-off").exit_code == 2
    server.world.services[SERVICE].configuration = {
        "new_message.enabled": True,
        "new_message.with_media.enabled": True,
    }
    done = retire(run, tmp_path / "s", "--json")  # what is left of the other is told, and no error
    assert (done.exit_code, told(done)) == (0, {"deleted": 1})
    assert json.loads(done.stdout)["services"][1]["needed_because"] == {"push-off": 1}
    again = retire(run, tmp_path / "s")  # the same command resumes, and there is nothing left that it could do
    assert (again.exit_code, len(server.world.writes)) == (0, 1), again.output
    assert "is off in Conversations: load first, and decide its proposals" in again.stdout
    other = retire(run, tmp_path / "s", "--service", service_sid(2))
    assert (other.exit_code, "[pushes-off]" in other.stderr) == (4, True)


def test_live_records_that_do_not_fit_are_told_and_so_is_the_file_that_holds_them(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(several(one({}, {}, {"extra": {"identity": 5}}), one({}, {})))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    shown = run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage")
    row = f"1 live record that do not fit, and count for nothing: {SERVICE} (1)"
    assert row in shown.stdout, shown.output
    assert not list(tmp_path.rglob("*.rejected.jsonl"))
    in_json = json.loads(run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage", "--json").stdout)
    assert [service["rejected"] for service in in_json["services"]] == [1, 0]
    alone = run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage", "--service", service_sid(2))
    assert "do not fit" not in alone.stdout
    done = retire(run, tmp_path / "s", "--service", service_sid(2))
    (file,) = tmp_path.rglob("*.rejected.jsonl")
    assert done.exit_code == 0, done.output
    assert f"{file} (it holds identities" in done.stdout
    assert json.loads(retire(run, tmp_path / "s", "--json").stdout)["rejected_file"].endswith(".rejected.jsonl")


@pytest.mark.parametrize(
    ("bindings", "said"),
    [
        (
            [{"count": 2, **PHONE, "age_days": 500}],
            f"All bindings of {SERVICE} had expired when the snapshot was made",
        ),
        ([], f"The snapshot has no binding of {SERVICE}"),
    ],
)
def test_a_service_with_nothing_to_wait_for_is_not_taken_for_the_snapshot(
    tmp_path: Path, run: Run, serve: Serve, bindings: list[dict[str, Any]], said: str
) -> None:
    serve(several(content(bindings=bindings), one({}, {})))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s", "--service", SERVICE)
    assert (refused.exit_code, "bindings of the snapshot" in refused.stderr) == (4, False)
    assert said in refused.stderr
    assert "--service" in refused.stderr.split(said)[1]


def test_no_limit_that_can_be_lifted_lifts_the_rule(tmp_path: Path, run: Run, serve: Serve) -> None:
    """Whatever is forced, and whatever rules are given, what is not shown to be replaced is left alone."""
    groups: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"age_days": 0.5}, {}), ({"message_types": [None]}, {}), ({"message_types": [["reaction_added"]]}, {}),
        ({}, {"age_days": None}), ({}, {"age_days": 800}), ({}, {"binding_type": "gcm"}), ({}, {"endpoint": "other"}),
        ({}, {"message_types": [["new_message"]]}), ({}, {"message_types": [["acme.new_message"]]}),
        ({"message_types": [["acme.shout"]]}, {}),
    ]  # fmt: skip
    content = one({}, {})
    content["services"] = [{**content["services"][0], **one(*pair)["services"][0]} for pair in groups]
    server = serve(content)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[message_type_names]\nconversations_prefixes = ["twilio.conversations.", "acme."]\n'
        'chat_prefixes = ["twilio.channel."]\nignored = ["reaction_added", "shout"]\n[limits]\nlifetime_days = 9000\n'
    )
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    every = [item for name in LIMITS for item in ("--force", name)]
    done = retire(run, tmp_path / "s", *every, "--min-ready", 0, "--rules", rules)
    assert (done.exit_code, server.world.writes) == (0, []), done.output


def test_something_on_the_way_that_answers_404_proves_nothing(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real = LiveTransport.send

    def send(transport: Any, request: Any) -> Answer:
        is_conversations = "/v1/" in request.url and "/Bindings/BS" in request.url
        return Answer(404, b"<h1>Not here</h1>", {}) if is_conversations else real(transport, request)

    environment.setattr(LiveTransport, "send", send)
    done = retire(run, snapshot)
    assert (done.exit_code, server.world.writes) == (1, [])


def test_a_sid_that_is_none_spoils_no_journal(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(content())
    server.world.services[SERVICE].bindings[0].sid = "BS1"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    done = retire(run, tmp_path / "s")
    assert (done.exit_code, len(server.world.writes)) == (6, 3)
    assert "not a binding's SID" in done.stdout
    assert retire(run, tmp_path / "s").exit_code == 1


def test_no_other_file_takes_the_journals_place(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot, "--log-file", journal_of(snapshot)).exit_code == 2
    assert retire(run, snapshot, "--journal", journal_of(snapshot)).exit_code == 0
    again = retire(run, snapshot)
    assert (again.exit_code, "Done: 0 bindings deleted." in again.stdout) == (0, True)


# --- interruptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [8, pytest.param(1, marks=pytest.mark.long)])
def test_a_death_at_any_step_is_gone_on_from(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, stride: int
) -> None:
    service = server.world.services[SERVICE]
    before = service.bindings[:]
    last = 1 + 2 + 2 + 4 * 6  # a line of the checkpoint, the first of the journal, and each deletion
    for step in range(1, last + 1 if stride == 1 else last, stride):
        service.bindings[:] = before
        server.world.writes.clear()
        journal = snapshot.with_name(f"{step}.jsonl")
        with environment.context() as patch:
            dying(patch, step, method="delete", threads=True)
            died = retire(mortal, snapshot, "--journal", journal)
        assert (died.exit_code == 0) == (step == last)
        if step == last:
            break
        done = retire(run, snapshot, "--journal", journal)
        assert done.exit_code == 0, done.output
        assert chat(server.world) == ["phone-0005", "phone-0006", "before", "phone"]
        assert len(server.world.writes) == len(set(server.world.writes)) == 4
        results = [line["result"] for line in lines(journal) if "result" in line]
        assert len(results) == len(set(results)) == 4


@pytest.mark.parametrize("seed", range(6))
def test_whatever_becomes_of_answers_each_is_deleted_once(
    run: Run, serve: Serve, world: World, server: StandInServer, snapshot: Path, seed: int
) -> None:
    serve(world, faults=Faults(seed=seed, rate=0.4), at=server)
    done = retire(run, snapshot, "--retry-budget", 600, "--journal", snapshot.with_name("j.jsonl"))
    assert done.exit_code == 0, done.output
    assert chat(world) == ["phone-0005", "phone-0006", "before", "phone"]
    assert len(world.writes) == 4


def test_what_twilio_refuses_is_told_and_the_others_go_on(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    first = server.world.services[SERVICE].bindings[0].sid
    real = TwilioApi.delete

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        if path.endswith(first):
            raise TwilioError("it answered 403", status=403)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        done = retire(run, snapshot)
    assert (done.exit_code, said(done).count("\n")) == (6, 1)
    assert "1 of 4 bindings could not be deleted" in done.stderr
    assert f"Resume with: chat-migrate retire {snapshot}" in done.stderr
    assert f"{first}: it answered 403" in done.stdout
    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        assert retire(run, snapshot).exit_code == 1  # nothing was deleted by this one
    assert retire(run, snapshot).exit_code == 0
    assert len(chat(server.world)) == 4


def test_a_delete_that_nobody_saw_is_settled_by_the_next_run(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """It was done, its answer was lost, and Twilio was away from then on; and one that somebody else was quicker with."""
    real, get, away = TwilioApi.delete, TwilioApi.get, False

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        nonlocal away
        real(api, name, path)
        away = True
        raise TransientTwilioError("the answer was lost")

    def read(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if away:
            raise TransientTwilioError("it is away")
        return get(api, name, path, *rest, **options)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        patch.setattr(TwilioApi, "get", read)
        lost = retire(run, snapshot, "--retry-budget", 0, "--concurrency", 1)
    assert (lost.exit_code, len(server.world.writes)) == (1, 1)
    assert [next(iter(line)) for line in lines(journal_of(snapshot))][1:] == ["intent"]

    def late(api: TwilioApi, name: Any, path: str) -> None:
        real(api, name, path)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", late)
        done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 4})
    assert len(server.world.writes) == 4


def test_ctrl_c_settles_what_was_begun_and_names_the_command(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real = retire_journal.RetireJournal.end
    ended = 0

    def end(self: Any, *arguments: Any) -> None:
        nonlocal ended
        real(self, *arguments)
        ended += 1
        if ended == 2:
            raise KeyboardInterrupt

    with environment.context() as patch:
        patch.setattr(retire_journal.RetireJournal, "end", end)
        stopped = retire(run, snapshot, "--concurrency", 1)
    assert (stopped.exit_code, said(stopped).count("\n")) == (130, 1)
    assert "Interrupted: 2 bindings are deleted" in stopped.stderr
    assert "Resume with: chat-migrate retire" in stopped.stderr
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


def test_a_full_disk_stops_it(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real, written = SyncedLog.append, 0

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(28, "No space left on device")
        real(log, line)

    with environment.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        stopped = retire(run, snapshot, "--concurrency", 1)
    assert (stopped.exit_code, said(stopped).count("\n")) == (1, 1)
    assert "The journal cannot be written: no space left on device" in stopped.stderr
    assert len(server.world.writes) == 1
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


# --- nothing is taken for granted ------------------------------------------------------------------------


def test_a_chat_that_is_switched_off_says_nothing_of_bindings(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """It may answer 404 to everything, and the bindings are there all the same: begun or not, none is gone by that."""
    real = TwilioApi.get

    def lost(api: TwilioApi, name: Any, path: str) -> None:
        raise TransientTwilioError("it is away")

    def off(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise TwilioError("it answered 404", status=404, code=20404)
        return real(api, name, path, *rest, **options)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", lost)
        assert retire(run, snapshot, "--retry-budget", 0, "--concurrency", 1).exit_code == 1
    before = journal_of(snapshot).read_bytes()
    assert before.count(b"intent") == 4
    with environment.context() as patch:
        patch.setattr(TwilioApi, "get", off)
        stopped = retire(run, snapshot)
    assert stopped.exit_code == 0
    assert "Chat does not show their service: it is switched off" in " ".join(stopped.stdout.split())
    assert (journal_of(snapshot).read_bytes(), server.world.writes) == (before, [])
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


@pytest.mark.parametrize("status", [403, 410])
def test_where_chat_is_switched_off_nothing_is_to_be_deleted(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int
) -> None:
    real = TwilioApi.get

    def off(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise TwilioError(f"it answered {status}", status=status)
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", off)
    shown = run("retire", snapshot, "--coverage", snapshot.with_name("c"), "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["deletions"]) == (0, 0), shown.output
    assert json.loads(shown.stdout)["services"][0]["needed_because"] == {"no-service": 5}


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (TransientTwilioError("away"), 1)])
def test_a_reading_of_both_sides_that_fails_leaves_nothing(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    real = TwilioApi.get

    def fail(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise error
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", fail)
    stopped = retire(run, snapshot)
    assert (stopped.exit_code, stopped.stderr.count("\n"), server.world.writes) == (code, 1, [])
    assert not snapshot.with_name("coverage").exists()


def test_sids_that_are_none_are_asked_for_nowhere(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(several(one({}, {}), one({}, {})))
    first, second = server.world.services.values()
    first.conversations_bindings[0].sid = "BS/../x"
    second.conversations_bindings[0].credential_sid = "CR/../../Services"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    asked: list[str] = []
    real = TwilioApi.get

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        asked.append(path)
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", get)
    done = retire(run, tmp_path / "s", "--json")
    assert (told(done), server.world.writes) == ({"unready": 1}, [])
    assert json.loads(done.stdout)["services"][1]["needed_because"] == {"no-credential": 1}
    assert asked
    assert not [path for path in asked if ".." in path]


@pytest.mark.parametrize("status", [429, 503, None])
def test_what_is_tried_again_is_looked_at_again(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int | None
) -> None:
    """While a delete waits for its turn, the phone registers through Chat again, or its binding moves over."""
    real, service, tried = TwilioApi.delete, server.world.services[SERVICE], set[str]()
    first, second = service.bindings[0], service.bindings[1]

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        if path not in tried:
            tried.add(path)
            if path.endswith(first.sid):
                first.updated = server.world.now
            if path.endswith(second.sid):
                service.conversations_bindings.append(second)
            raise TransientTwilioError("not now", status=status)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 2, "changed": 1, "shared": 1})
    assert {first.endpoint, second.endpoint} <= set(chat(server.world))
    found = lines(journal_of(snapshot))
    assert sum("intent" in line for line in found) == 4
    assert sorted(line["status"] for line in found if "result" in line) == ["deleted"] * 2 + ["failed"] * 2


def test_a_429_is_waited_for(run: Run, serve: Serve, world: World, server: StandInServer, snapshot: Path) -> None:
    serve(world, faults=Faults(rate=0.4, kinds=("429",)), at=server)
    done = retire(run, snapshot, "--retry-budget", 600, "--json", "--journal", snapshot.with_name("j.jsonl"))
    assert (done.exit_code, told(done), len(world.writes)) == (0, {"deleted": 4}, 4)


def test_more_than_are_in_hand_at_a_time(tmp_path: Path, run: Run, serve: Serve) -> None:
    many = content(bindings=[{"count": 40, **PHONE}], conversations_bindings=[{"count": 39, **PHONE, **SIGN}])
    many["services"].append({"name": "Quiet", "conversations": {}})
    server = serve(many)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    done = retire(run, tmp_path / "s", "--concurrency", 3)
    assert (done.exit_code, len(server.world.writes), chat(server.world)) == (0, 39, ["phone-0040"])
    assert len({line["result"] for line in lines(journal_of(tmp_path / "s")) if "result" in line}) == 39


def test_deletes_keep_to_the_pace_from_all_threads(run: Run, snapshot: Path, environment: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    environment.setattr(TwilioApi, "pause", lambda api, seconds: waited.append(seconds))
    environment.setattr("migrate.load.rate_limit.time", SimpleNamespace(monotonic=lambda: 100.0))  # all come at once
    assert retire(run, snapshot).exit_code == 0
    assert sorted(waited) == pytest.approx([1 / 25, 2 / 25, 3 / 25])  # the fourth waits for its turn behind three


def test_one_at_a_time_for_an_account_and_a_dead_ones_lock_is_told(
    tmp_path: Path, run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    state = Path(click.get_app_dir("chat-migrate"))
    with only_loader(state, server.world.account_sid):
        second = retire(run, snapshot)
    assert (second.exit_code, second.stderr.count("\n"), server.world.writes) == (4, 1, [])
    left = json.dumps({"process": 1, "host": "elsewhere", "since": "2026-06-15T08:00:00+00:00"})
    (state / f"{server.world.account_sid}.lock").write_text(left)
    done = retire(run, snapshot)
    assert (done.exit_code, "process 1 on elsewhere" in done.stderr) == (0, True)


def test_a_full_disk_before_anything_is_deleted_names_the_command(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device", "x")

    environment.setattr("migrate.retire.selection.write_coverage", full)
    stopped = retire(run, snapshot)
    assert (stopped.exit_code, said(stopped).count("\n"), server.world.writes) == (1, 1, [])
    assert f"Resume with: chat-migrate retire {snapshot}" in stopped.stderr


# --- refusals --------------------------------------------------------------------------------------------


def test_all_limits_that_do_not_hold_are_listed_at_once(run: Run, serve: Serve, world: World, snapshot: Path) -> None:
    world.now += timedelta(days=31)
    refused = retire(run, snapshot, "--max-bindings", 3, force=False)
    assert (refused.exit_code, world.writes) == (4, [])
    assert refused.stderr.count("\n") == 1
    for name in ("few-ready", "many-bindings", "old-snapshot"):
        assert f"[{name}]" in refused.stderr
    assert f"of {SERVICE} (71.4 %)" in refused.stderr
    some = retire(run, snapshot, "--max-bindings", 3, "--force", "old-snapshot")
    assert (some.exit_code, "[many-bindings]" in some.stderr, "[old-" in some.stderr) == (4, True, False)
    assert retire(run, snapshot, "--force", "old-snapshot", "--min-ready", 71, force=False).exit_code == 0


def test_many_services_that_are_not_ready_are_not_all_listed(tmp_path: Path, run: Run, serve: Serve) -> None:
    many = content()
    many["services"] *= 7
    serve(many)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s", force=False)
    assert (refused.exit_code, "and 2 more; wait for them" in refused.stderr) == (4, True)


def test_it_asks_for_the_number_first(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    command = ["retire", str(snapshot), "--coverage", str(snapshot.parent / "c"), "--apply", "--force", "few-ready"]
    silent = run(*command)
    assert (silent.exit_code, "Pass --yes" in silent.stderr) == (4, True)
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    wrong = CliRunner().invoke(cli, command, input="5\n")
    assert (wrong.exit_code, server.world.writes) == (4, [])
    assert "bindings that are to be deleted for good (4)" in wrong.stderr
    assert CliRunner().invoke(cli, command, input="4\n").exit_code == 0
    assert len(server.world.writes) == 4


def test_a_recording_is_not_written_to(run: Run, snapshot: Path) -> None:
    assert retire(run, snapshot, "--replay", snapshot.with_name("c.yaml")).exit_code == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"mine\n", 1), (b'{"format_version": 2, "kind": "retire"}\n', 1), (b"\xff\n", 1), (b"[]\n", 1),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n', 4),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n{"a": 1}\n', 1),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n'
         b'{"intent": "CR"}\n', 1),
        (b'{"format_version": 9, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n', 1),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_journal_of_it_stays_as_it_is(
    run: Run, server: StandInServer, snapshot: Path, content: bytes, code: int
) -> None:
    journal_of(snapshot).write_bytes(content)
    refused = retire(run, snapshot)
    assert (refused.exit_code, refused.stderr.count("\n")) == (code, 1)
    assert (server.world.writes, journal_of(snapshot).read_bytes()) == ([], content)


def test_an_unknown_result_makes_no_journal(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot).exit_code == 0
    text = journal_of(snapshot).read_text("utf-8")
    journal_of(snapshot).write_text(text.replace('"deleted"', '"perhaps"', 1), "utf-8")
    assert retire(run, snapshot).exit_code == 1


def test_a_torn_last_line_is_dropped(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot).exit_code == 0
    data = journal_of(snapshot).read_bytes()
    for torn in (data[:-7], data[:-7] + b"9" * 9000):
        journal_of(snapshot).write_bytes(torn)
        done = retire(run, snapshot, "--json")
        assert (done.exit_code, told(done)) == (0, {"deleted": 1})
        assert len(lines(journal_of(snapshot))) == data.count(b"\n")  # what came next is a line of its own
        assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


# --- what no code path can do ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"/Credentials/CR{'1' * 32}", f"/Services/{SERVICE}", f"/Services/{SERVICE}/Bindings/", "",
        f"/Services/{SERVICE}/Bindings/BS{'1' * 32}/../../../Credentials/CR{'1' * 32}",
        f"/Services/{SERVICE}/Bindings/BS{'1' * 32}\n", f"/Services/{SERVICE}/Users/US{'1' * 32}",
    ],
)  # fmt: skip
def test_nothing_but_a_binding_can_be_deleted(path: str) -> None:
    api = TwilioApi.__new__(TwilioApi)
    with pytest.raises(ValueError, match="nothing but bindings is ever deleted"):
        api.delete("chat", path)


def test_there_is_one_way_to_delete_and_one_caller() -> None:
    """A credential's deletion deletes every registration made with it: no other code may even be able to ask for it."""
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    sources = {name: text for name, text in sources.items() if not name.startswith("standin/")}  # the other side
    verbs = {name for name, text in sources.items() if re.search(r"\"DELETE\"|'DELETE'|\bmethod=\"delete", text)}
    assert verbs == {"twilio_api/client.py"}
    clients = {name for name, text in sources.items() if "_client.request(" in text or "session.send(" in text}
    assert clients == {"twilio_api/client.py", "twilio_api/transports/live.py"}
    callers = {name for name, text in sources.items() if re.search(r"api\.delete\(", text)}
    assert callers == {"retire/delete.py"}


def test_every_limit_is_documented() -> None:
    page = (ROOT / "docs" / "afterwards.md").read_text("utf-8")
    assert all(f"| `{name}` |" in page for name in LIMITS)
