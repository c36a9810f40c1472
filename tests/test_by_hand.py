"""FACTS.md's mapping as a table, and the odd bindings of the odd world, each worked out by hand and explained.

`tests/test_fate.py` has the message types one by one, `tests/test_templates.py` the templates.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from migrate.map.counts import ServiceCounts
from migrate.map.notifications import service_config
from migrate.map.push_config_yaml import parse
from migrate.map.rules_toml import default_rules
from migrate.model.catalogue import CATALOGUE
from migrate.model.push_config import FIELD_BY_PATH
from tests.conftest import Demo, service_sid
from tests.snapshots import credential_sid

RULES = default_rules()
ON, OFF = {"enabled": True}, {"enabled": False}
NEW, MEDIA = "new_message.enabled", "new_message.with_media.enabled"
ADDED, REMOVED = "added_to_conversation.enabled", "removed_from_conversation.enabled"
IOS, SANDBOX, ANDROID, OLD_KEY, GCM = (credential_sid(number) for number in range(1, 6))

# Chat's `notifications` → Conversations' form fields (FACTS.md, "Message types and their push configuration").
SETTINGS: list[tuple[str, dict[str, Any], dict[str, bool | str]]] = [
    ("the same switch, and media with it, because Chat pushed media messages too",
     {"new_message": ON}, {"NewMessage.Enabled": True, "NewMessage.WithMedia.Enabled": True}),
    ("what was off stays off, media too",
     {"new_message": OFF}, {"NewMessage.Enabled": False, "NewMessage.WithMedia.Enabled": False}),
    ("a channel is a conversation", {"added_to_channel": ON}, {"AddedToConversation.Enabled": True}),
    ("a channel is a conversation", {"removed_from_channel": ON}, {"RemovedFromConversation.Enabled": True}),
    ("Conversations has no invites", {"invited_to_channel": ON}, {}),
    ("the log has one switch", {"log_enabled": True}, {"LogEnabled": True}),
    ("absent stays absent: log_enabled may be missing", {"log_enabled": None}, {}),
    ("the whole object may be empty", {}, {}),
    ("unset template and sound are absent, and stay so",
     {"added_to_channel": {"enabled": True, "template": None}}, {"AddedToConversation.Enabled": True}),
    ("an empty sound is one that was set", {"added_to_channel": {"sound": ""}}, {"AddedToConversation.Sound": ""}),
    ("sounds are file names in the app: kept", {"removed_from_channel": {"sound": "a.caf"}},
     {"RemovedFromConversation.Sound": "a.caf"}),
    ("only new messages count badges", {"new_message": {"badge_count_enabled": True}},
     {"NewMessage.BadgeCountEnabled": True}),
    ("and others cannot", {"added_to_channel": {"badge_count_enabled": True}}, {}),
    ("variables have other names", {"new_message": {"template": "${USER_SID} ${CHANNEL_UNIQUE_NAME} ${MESSAGE}"}},
     {"NewMessage.Template": "${PARTICIPANT_SID} ${CONVERSATION_UNIQUE_NAME} ${MESSAGE}"}),
    ("Chat's default text, in the words of Conversations",
     {"added_to_channel": {"template": "You have been added to channel ${CHANNEL} by ${USER}"}},
     {"AddedToConversation.Template": "You have been added to conversation ${CONVERSATION} by ${PARTICIPANT}"}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "chat", "form"), SETTINGS, ids=[why for why, _, _ in SETTINGS])
def test_each_setting_becomes_the_form_field_that_it_should(why: str, chat: Any, form: dict[str, bool | str]) -> None:
    row = {"sid": service_sid(1), "friendly_name": "x", "notifications": json.dumps(chat)}
    found = service_config(row, ServiceCounts(), RULES).config
    assert {FIELD_BY_PATH[path].form: value for path, value in found.settings.items()} == form


# Of the odd world (tests/worlds/odd.yaml): service, identity, what the bindings become, how many, and why.
# (outcome, action, binding type, credential it is to register with, message types, findings but for the credential's)
NM, AC, RC = "new_message", "added_to_conversation", "removed_from_conversation"
ODD: list[tuple[int, str | None, tuple[Any, ...], int, str]] = [
    (1, "three-devices", ("carried", "register", "apn", IOS, (NM,), ()), 2, "two iPhones, of three devices: no crowd"),
    (1, "three-devices", ("carried", "register", "fcm", ANDROID, (NM,), ()), 1, "and an Android phone"),
    (1, "registers-again-and-again", ("carried", "register", "fcm", ANDROID, (NM,), ("identity-crowded",)), 12,
     "more than ten of one identity are a warning, and each is carried all the same"),
    (1, "signed-out-person", ("carried", "register", "apn", IOS, (NM,), ("endpoint-shared",)), 1,
     "whoever signed out would still be pushed on the phone of"),
    (1, "signed-in-person", ("carried", "register", "apn", IOS, (NM,), ("endpoint-shared",)), 1, "who signed in"),
    (1, "long-gone-0001", ("expired", "none", "apn", None, (NM,), ("binding-expired",)), 1, "366 days: by one day"),
    (1, "long-gone-0002", ("expired", "none", "fcm", None, (NM,), ("binding-expired",)), 1, "and by years"),
    (2, "old-android-0001", ("blocked", "decide", "fcm", None, (NM,), ("binding-gcm",)), 1,
     "GCM can only come back as FCM, under a credential that nobody has named"),
    (2, "gone-android-0001", ("expired", "none", "fcm", None, (NM,), ("binding-expired",)), 1,
     "GCM too, but long gone: nothing to decide"),
    (2, "driver-0001", ("carried", "register", "fcm", OLD_KEY, (NM, AC), ("message-type-ignored",)), 1,
     "SDK names: prefixes go, consumption_update is no push"),
    (2, "driver-0002", ("reduced", "register", "apn", IOS, (NM,), ("message-type-dropped",)), 1, "a prefixed invite"),
    (2, "driver-0003", ("carried", "register", "fcm", OLD_KEY, (NM,), ("message-type-ignored",)), 1,
     "typing_indicator is no push, under its prefix of another kind"),
    (2, "early-adopter-0001", ("carried", "registered", "apn", IOS, (NM, AC), ("binding-on-conversations",)), 1,
     "the Conversations SDK's own names: this device is ready"),
    (3, "beta-0001", ("carried", "register", "apn", SANDBOX, (NM,), ()), 1, "a development build"),
    (3, "beta-0002", ("carried", "register", "fcm", ANDROID, None, ("message-types-missing",)), 1,
     "a list that is null is not an empty one: what it receives is not known"),
    (3, "curious-0001", ("reduced", "register", "apn", SANDBOX, (NM,), ("message-type-unknown",)), 1,
     "reaction_added is nothing that Twilio documents: reported, never guessed at"),
    (3, "curious-0002", ("reduced", "register", "apn", SANDBOX, (), ("message-type-unknown",)), 1,
     "an unknown name behind Chat's prefix is as unknown"),
    (3, None, ("carried", "register", "apn", SANDBOX, (NM,), ("binding-incomplete",)), 1, "nobody signed in"),
    (3, "never-dated", ("carried", "register", "apn", SANDBOX, (NM,), ("binding-incomplete",)), 1,
     "without any date it cannot be past its lifetime, and is not taken to be"),
    (3, "=1+1", ("carried", "register", "apn", SANDBOX, (NM,), ()), 1, "an odd identity is an identity"),
    (4, "user-0001", ("carried", "register", "apn", IOS, (NM, AC), ()), 1,
     "its service has pushes off: the binding is carried, the setting stays off"),
    (7, "staff-0001", ("carried", "register", "fcm", ANDROID, (NM, AC), ()), 1, "as plain as can be"),
]  # fmt: skip
OF_CREDENTIALS = {code for code in CATALOGUE if code.startswith("credential-")}


@pytest.mark.parametrize(
    ("service", "identity", "expected", "number", "why"), ODD, ids=[f"{odd[0]}-{odd[1]}-{odd[2][2]}" for odd in ODD]
)
def test_the_demos_odd_bindings_become_what_they_should(
    odd: Demo, service: int, identity: str | None, expected: tuple[Any, ...], number: int, why: str
) -> None:
    frame = pd.read_parquet(odd.folder / "mapped" / "bindings")
    frame = frame[frame["service_sid"] == service_sid(service)]
    theirs = frame[frame["identity"].isna() if identity is None else frame["identity"] == identity]
    found = Counter(
        (
            row.outcome,
            row.action,
            row.target_binding_type,
            None if pd.isna(row.target_credential_sid) else row.target_credential_sid,
            None if row.target_message_types is None else tuple(row.target_message_types),
            tuple(code for code in row.findings if code not in OF_CREDENTIALS),
        )
        for row in theirs.itertuples()
    )
    assert found[expected] == number, why


# Settings that the demo's services come to, where it does not go without saying.
SERVICES: list[tuple[int, dict[str, Any], str]] = [
    (1, {REMOVED: False, ADDED: True}, "56 bindings ask for removals, but Chat had them off: off they stay"),
    (2, {"added_to_conversation.sound": "", "removed_from_conversation.template": "You left ${CHANEL} for $5 {really}"},
     "an empty sound was set; a misspelt variable is kept and reported, $5 and {really} are no variables"),
    (3, {NEW: None, MEDIA: None, ADDED: None, REMOVED: None, "log_enabled": None},
     "Chat says nothing: nothing is switched on that nobody has stated"),
    (4, {NEW: False, MEDIA: False, ADDED: False, REMOVED: False, "log_enabled": False}, "all off, whoever asks"),
    (5, {NEW: True, ADDED: False}, "on without a single binding, as it was"),
    (7, {"new_message.with_media.template": None, "added_to_conversation.template": None},
     "what Chat does not have is left as it is in Conversations"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "settings", "why"), SERVICES, ids=[why for _, _, why in SERVICES])
def test_the_demos_services_get_the_settings_that_they_should(
    odd: Demo, service: int, settings: dict[str, Any], why: str
) -> None:
    text = (odd.folder / "mapped" / "push-config.yaml").read_text("utf-8")
    (found,) = (config.settings for config in parse(text, "x").services if config.service_sid == service_sid(service))
    assert {path: found.get(path) for path in settings} == settings, why
