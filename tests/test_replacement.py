"""The rule by which a binding may be deleted: every combination of evidence, and no condition of it is without effect."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrate.report.retirement import _REASONS
from migrate.retire.replacement import CONDITIONS, Evidence, why_needed

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
SERVICE = "IS" + "1" * 32
ON, OFF = {"enabled": True}, {"enabled": False}
APN, OTHER_APN, SANDBOX, FCM, OLD_FCM, GCM = (f"CR{number:032}" for number in range(1, 7))
CREDENTIALS: dict[str, dict[str, Any]] = {
    APN: {"sid": APN, "type": "apn", "sandbox": "False"},
    OTHER_APN: {"sid": OTHER_APN, "type": "apn", "sandbox": "False"},
    SANDBOX: {"sid": SANDBOX, "type": "apn", "sandbox": "True"},
    FCM: {"sid": FCM, "type": "fcm", "date_updated": "2026-02-01T00:00:00Z"},
    OLD_FCM: {"sid": OLD_FCM, "type": "fcm", "date_updated": "2023-02-01T00:00:00Z"},
    GCM: {"sid": GCM, "type": "gcm", "date_updated": "2026-02-01T00:00:00Z"},
}


def days(number: float) -> str:
    """The time so many days ago, as Twilio writes it."""
    return (NOW - timedelta(days=number)).isoformat().replace("+00:00", "Z")


BINDING = {
    "sid": "BS" + "1" * 32, "identity": "i", "endpoint": "e", "binding_type": "apn", "credential_sid": APN,
    "message_types": ["new_message"], "date_created": days(90), "date_updated": days(9),
}  # fmt: skip
REGISTRATION = {
    "sid": "BS" + "2" * 32, "identity": "i", "endpoint": "e", "binding_type": "apn", "credential_sid": APN,
    "message_types": ["twilio.conversations.new_message"], "date_created": days(3), "date_updated": days(1),
    "chat_service_sid": SERVICE,
}  # fmt: skip
SETTINGS = {"new_message": {**ON, "with_media": ON}, "added_to_conversation": ON, "removed_from_conversation": ON}


def evidence(
    binding: dict[str, Any] | None = None, registration: dict[str, Any] | None = None, **changes: Any
) -> Evidence:
    """Evidence of a binding that is replaced, but for these changes; nothing is otherwise than it was listed."""
    chats, theirs = {**BINDING, **(binding or {})}, {**REGISTRATION, **(registration or {})}
    as_listed = Evidence(
        held={**chats, "service_sid": SERVICE},
        binding={**chats, "service_sid": SERVICE},
        listed=theirs,
        registration=theirs,
        is_shared=False,
        chat_service=SERVICE,
        notifications={"new_message": ON, "invited_to_channel": OFF},
        settings=SETTINGS,
        credentials=CREDENTIALS,
        now=NOW,
    )
    return replace(as_listed, **changes)


def since(side: str, **changes: Any) -> Evidence:
    """The same, where something has changed since the list was made."""
    changed: dict[str, Any] = {side: {**getattr(evidence(), side), **changes}}
    return replace(evidence(), **changed)


def pushes(types: Any, notifications: Any, theirs: Any, **changes: Any) -> Evidence:
    return evidence({"message_types": types}, {"message_types": theirs}, notifications=notifications, **changes)


NEW, C = ["new_message"], "twilio.conversations."
# The name of the condition for which a binding is needed (none if it may be deleted), and evidence with which it is.
TABLE: list[tuple[str, Evidence]] = [
    ("", evidence()),
    ("", evidence({"message_types": []})),
    ("", evidence({"message_types": ["twilio.channel.new_message", "twilio.ipmsg.typing_indicator"]})),
    ("", evidence({"message_types": ["consumption_update"]})),
    ("", evidence({"binding_type": "gcm", "credential_sid": GCM}, {"binding_type": "fcm", "credential_sid": FCM})),
    ("", evidence({"binding_type": "fcm", "credential_sid": OLD_FCM}, {"binding_type": "fcm", "credential_sid": OLD_FCM})),
    ("", evidence({"binding_type": "fcm", "credential_sid": OLD_FCM}, {"binding_type": "fcm", "credential_sid": FCM})),
    ("", evidence({}, {"credential_sid": OTHER_APN})),
    ("", evidence({}, {"message_types": ["new_message", "added_to_conversation", f"{C}reaction"]})),
    ("", evidence({}, {"date_created": None})),
    ("", evidence({}, {"date_updated": None})),
    ("", evidence({"date_created": None})),
    ("", evidence(now=NOW - timedelta(hours=40))),  # another clock, by less than a day
    ("", since("binding", url="x", message_types=["new_message"], date_updated="2026-06-06T10:00:00+02:00")),
    ("", since("registration", chat_service_sid=None, extra=1)),
    ("", pushes(NEW, {"new_message": ON, "more": OFF}, [f"{C}new_message"])),
    ("changed", since("binding", sid="BS" + "3" * 32)),
    ("changed", since("binding", identity="another")),
    ("changed", since("binding", endpoint="another")),
    ("changed", since("binding", binding_type="gcm")),
    ("changed", since("binding", credential_sid=OTHER_APN)),
    ("changed", since("binding", message_types=[])),
    ("changed", since("binding", message_types=None)),
    ("changed", since("binding", message_types=7)),
    ("changed", since("binding", message_types=["new_message", None])),
    ("changed", since("binding", date_updated=days(8))),
    ("changed", since("binding", date_updated=None)),
    ("changed", since("binding", date_updated=7)),
    ("changed", since("binding", date_updated="never")),
    ("shared", evidence(is_shared=True)),
    ("shared", evidence({}, {"sid": BINDING["sid"]})),
    ("conversations-own", evidence({"message_types": ["new_message", f"{C}new_message"]})),
    ("conversations-own", evidence({"message_types": ["added_to_conversation"]})),
    ("registration-changed", replace(evidence(), registration={})),
    *(("registration-changed", since("registration", **{name: "other"})) for name in ("sid", "identity", "endpoint")),
    ("registration-changed", since("registration", credential_sid=OTHER_APN)),
    ("registration-changed", since("registration", message_types=["new_message", f"{C}new_message"])),
    ("registration-changed", since("registration", date_updated=days(0))),
    ("registration-changed", since("registration", date_created=None)),
    ("registration-changed", evidence({}, {"message_types": "new_message"})),  # what is no list is the same as nothing
    ("no-service", evidence(chat_service=None)),
    ("other-service", evidence(chat_service="IS" + "2" * 32)),
    ("other-service", evidence(chat_service=7)),
    ("other-service", since("registration", chat_service_sid="IS" + "2" * 32)),
    ("other-service", since("binding", service_sid="IS" + "2" * 32)),
    ("other-service", evidence(settings={**SETTINGS, "chat_service_sid": "IS" + "2" * 32})),
    ("other-device", evidence({}, {"endpoint": "iPad"})),
    ("other-device", evidence({}, {"identity": "another"})),
    ("other-device", evidence({"endpoint": ""}, {"endpoint": ""})),
    ("other-device", evidence({"identity": None}, {"identity": None})),
    ("other-device", evidence({"identity": ["i"]}, {"identity": ["i"]})),
    ("other-platform", evidence({"binding_type": "gcm"}, {"binding_type": "gcm", "credential_sid": GCM})),
    ("other-platform", evidence({"binding_type": "fcm"}, {"binding_type": "gcm", "credential_sid": GCM})),
    ("other-platform", evidence({"binding_type": "fcm"})),
    ("other-platform", evidence({"binding_type": None})),
    ("not-conversations", evidence({"message_types": []}, {"message_types": ["new_message"]})),
    ("not-conversations", evidence({"message_types": []}, {"message_types": None})),
    ("not-conversations", evidence({}, {"message_types": [f"{C}new_message", "twilio.channel.new_message"]})),
    ("not-conversations", evidence({}, {"message_types": [f"{C}new_message", "added_to_channel"]})),
    ("undated", evidence({}, {"date_created": None, "date_updated": None})),
    ("undated", evidence({}, {"date_created": "long ago", "date_updated": 7})),
    ("expired", evidence({"date_created": days(500), "date_updated": days(380)}, {"date_created": days(370), "date_updated": days(366)})),
    ("future", evidence({}, {"date_updated": days(-700)})),
    ("seen-since", evidence({"date_updated": days(0.5)})),
    ("seen-since", evidence({"date_updated": days(1)})),  # at the same time is not since
    ("seen-since", evidence({"date_created": days(0)})),
    ("seen-since", evidence({"date_updated": None})),
    ("no-credential", evidence({}, {"credential_sid": None})),
    ("no-credential", evidence({}, {"credential_sid": "CR" + "9" * 32})),
    ("no-credential", evidence({}, {"credential_sid": ["CR"]})),
    ("no-credential", evidence(credentials={})),
    ("no-credential", evidence(credentials={APN: CREDENTIALS[SANDBOX]})),
    ("credential-type", evidence({"credential_sid": FCM}, {"credential_sid": FCM})),
    ("credential-type", evidence(credentials={APN: {"sid": APN}})),
    ("credential-unproven", evidence({}, {"credential_sid": SANDBOX})),
    ("credential-unproven", evidence({"credential_sid": None})),
    ("credential-unproven", evidence({"credential_sid": "CR" + "9" * 32})),
    ("credential-unproven", evidence({"binding_type": "gcm"}, {"binding_type": "fcm", "credential_sid": OLD_FCM})),
    ("unknown-message-type", evidence({"message_types": None})),
    ("unknown-message-type", evidence({"message_types": ["new_message", "reaction_added"]})),
    ("unknown-message-type", evidence({"message_types": ["twilio.channel.pinned"]})),
    ("unknown-message-type", evidence({"message_types": ["acme.new_message"]})),
    ("unknown-push", pushes(NEW, {"new_message": ON, "reaction_added": ON}, [f"{C}new_message"])),
    ("unknown-push", pushes(NEW, {"new_message": ON, "reaction_added": "yes"}, [f"{C}new_message"])),
    ("invites", pushes([*NEW, "invited_to_channel"], {"new_message": ON, "invited_to_channel": ON}, [f"{C}new_message"])),
    ("invites", pushes(["twilio.channel.invited_to_channel"], {}, [f"{C}new_message"])),
    ("not-asked-for", pushes(["added_to_channel"], {}, [f"{C}new_message"])),
    ("not-asked-for", pushes(NEW, {}, ["added_to_conversation"])),
    ("push-off", evidence(settings={"new_message": {"enabled": False, "with_media": ON}})),
    ("push-off", evidence(settings={"new_message": {"enabled": "true", "with_media": ON}})),
    ("push-off", evidence(settings=None)),
    ("push-off", evidence(settings=[])),
    ("media-off", evidence(settings={"new_message": ON})),
    ("media-off", evidence(settings={"new_message": {**ON, "with_media": "on"}})),
]  # fmt: skip


def needed(given: Evidence, without: str = "") -> str:
    found = why_needed(given, tuple(each for each in CONDITIONS if each.name != without))
    return found.name if found else ""


@pytest.mark.parametrize(("expected", "given"), TABLE, ids=[f"{i}-{name}" for i, (name, _) in enumerate(TABLE)])
def test_what_is_needed_and_why(expected: str, given: Evidence) -> None:
    assert needed(given) == expected


@pytest.mark.parametrize("name", [each.name for each in CONDITIONS])
def test_a_rule_without_one_of_its_conditions_deletes_what_is_needed(name: str) -> None:
    """Each condition alone keeps some binding: a rule that lacks it, or in which it never holds, is caught."""
    assert [given for expected, given in TABLE if expected == name and needed(given, without=name) == ""]


def test_no_condition_rests_on_its_place() -> None:
    """Every order of the conditions leaves the same bindings alone."""
    for _, given in TABLE:
        assert bool(why_needed(given, CONDITIONS[::-1])) == bool(why_needed(given))


def test_every_reason_has_its_words() -> None:
    assert set(_REASONS) == {each.name for each in CONDITIONS if each.outcome == "needed"}


CHAT = ("new_message", "added_to_channel", "removed_from_channel", "invited_to_channel")
THEIRS = ("new_message", "added_to_conversation", "removed_from_conversation")
STATES: tuple[Any, ...] = (ON, OFF, {"enabled": "false"})  # what Chat says of a push: on, off, nothing that is plain
ABSENT = object()


@pytest.mark.long
@pytest.mark.parametrize("invited", [ABSENT, ON, OFF], ids=["silent", "on", "off"])
def test_every_combination_of_pushes(invited: Any) -> None:
    """What is asked for on either side, what Chat says of each push, what is on in Conversations."""
    switches = [(*on, media) for on in itertools.product((True, False), repeat=3) for media in (True, False)]
    subsets = [tuple(itertools.compress(CHAT, bits)) for bits in itertools.product((1, 0), repeat=4)]
    answers = [tuple(itertools.compress(THEIRS, bits)) for bits in itertools.product((1, 0), repeat=3)]
    number = kept = 0
    for asked, said, theirs, (new, added, removed, media) in itertools.product(
        subsets, itertools.product(STATES, (ON, OFF), (OFF, {})), answers, switches
    ):
        notifications = dict(zip(CHAT, said, strict=False)) | (
            {} if invited is ABSENT else {"invited_to_channel": invited}
        )
        settings = {
            "new_message": {"enabled": new, "with_media": {"enabled": media}},
            "added_to_conversation": {"enabled": added}, "removed_from_conversation": {"enabled": removed},
        }  # fmt: skip
        given = {
            f"{push}": on for push, on in zip(THEIRS, (new and media, added, removed), strict=True) if push in theirs
        }
        wanted = {push for push in asked if notifications.get(push, {}).get("enabled") is not False}
        lost = "invited_to_channel" in wanted or any(
            not given.get(push) for chats, push in zip(CHAT, THEIRS, strict=False) if chats in wanted
        )
        found = pushes(list(asked), notifications, [f"{C}typing", *theirs], settings=settings)
        assert bool(needed(found)) == lost, (asked, notifications, theirs, settings)
        number, kept = number + 1, kept + lost
    assert number == 16 * 12 * 8 * 16
    assert number / 10 < kept < number * 0.95


# Of each fact one that speaks for a deletion, and some that do not: all together, every combination.
SIDES: dict[str, list[tuple[dict[str, Any], bool]]] = {
    "identity": [({}, True), ({"identity": "j"}, False), ({"identity": None}, False)],
    "endpoint": [({}, True), ({"endpoint": "f"}, False)],
    "type": [({}, True), ({"binding_type": "twilsock"}, False), ({"binding_type": "gcm"}, False)],
    "credential": [({}, True), ({"credential_sid": FCM}, False), ({"credential_sid": SANDBOX}, False),
                   ({"credential_sid": None}, False)],
    "names": [({}, True), ({"message_types": None}, False), ({"message_types": ["new_message"]}, False)],
    "date": [({}, True), ({"date_created": None, "date_updated": None}, False), ({"date_updated": days(-30)}, False),
             ({"date_created": days(800), "date_updated": days(400)}, False),
             ({"date_created": days(20), "date_updated": days(10)}, False)],
    "service": [({}, True), ({"chat_service_sid": "IS" + "2" * 32}, False)],
}  # fmt: skip
OTHERS: dict[str, list[tuple[dict[str, Any], bool]]] = {
    "shared": [({}, True), ({"is_shared": True}, False)],
    "settings": [({}, True), ({"settings": {"new_message": ON}}, False), ({"settings": None}, False)],
    "notifications": [({}, True), ({"notifications": {"reactions": ON}}, False)],
}


def test_every_combination_of_the_other_facts() -> None:
    """One thing that is not shown is enough; and nothing but that keeps a binding."""
    number = 0
    for sides in itertools.product(*SIDES.values()):
        registration: dict[str, Any] = {key: value for change, _ in sides for key, value in change.items()}
        for others in itertools.product(*OTHERS.values()):
            changes: dict[str, Any] = {key: value for change, _ in others for key, value in change.items()}
            shown = all(good for _, good in (*sides, *others))
            assert (needed(evidence({}, registration, **changes)) == "") == shown, (registration, changes)
            number += 1
    assert number == 3 * 2 * 3 * 4 * 3 * 5 * 2 * (2 * 3 * 2)
