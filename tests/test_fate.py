"""One binding's fate: the table of FACTS, "Message types" and "Binding", case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.credentials import Credentials
from migrate.map.decision import Facts, decide, translate_message_type
from migrate.map.outcome import ACTIONS, OUTCOMES
from migrate.map.rules_toml import default_rules
from migrate.model.credential import Credential
from tests.snapshots import credential, credential_sid

RULES = default_rules()
ACCOUNT = Credentials.of(
    Credential.from_row(credential(number, kind)) for number, kind in ((1, "apn"), (2, "fcm"), (3, "gcm"))
)
ALL = ("new_message", "added_to_conversation", "removed_from_conversation")


@pytest.mark.parametrize(
    ("name", "target", "code"),
    [
        # What both sides have, under its plain and its SDK name.
        ("new_message", "new_message", ""),
        ("added_to_channel", "added_to_conversation", ""),
        ("removed_from_channel", "removed_from_conversation", ""),
        ("twilio.channel.new_message", "new_message", ""),
        ("twilio.channel.added_to_channel", "added_to_conversation", ""),
        # Conversations has no invites.
        ("invited_to_channel", "", "message-type-dropped"),
        ("twilio.channel.invited_to_channel", "", "message-type-dropped"),
        # Registered by the new SDK already; a plain Conversations name is a sign of it too.
        ("twilio.conversations.new_message", "new_message", "binding-on-conversations"),
        ("twilio.conversations.added_to_conversation", "added_to_conversation", "binding-on-conversations"),
        ("added_to_conversation", "added_to_conversation", "binding-on-conversations"),
        # SDK internals are no pushes.
        ("twilio.channel.consumption_update", "", "message-type-ignored"),
        ("twilio.ipmsg.typing_indicator", "", "message-type-ignored"),
        ("twilio.conversations.typing_indicator", "", "message-type-ignored"),
        # Anything else is reported, never guessed at.
        ("reaction_added", "", "message-type-unknown"),
        ("twilio.channel.pinned", "", "message-type-unknown"),
        ("twilio.channel.added_to_conversation", "", "message-type-unknown"),
        ("twilio.conversations.added_to_channel", "", "message-type-unknown"),
        ("New_Message", "", "message-type-unknown"),
        ("", "", "message-type-unknown"),
    ],
)
def test_each_message_type_has_its_counterpart_or_a_finding(name: str, target: str, code: str) -> None:
    found = translate_message_type(name, RULES)
    assert (found.target, found.code) == (target, code)


@pytest.mark.parametrize(
    ("binding_type", "types", "outcome", "target_type", "targets", "codes"),
    [
        ("apn", ("removed_from_channel", "new_message", "added_to_channel"), "carried", "apn", ALL, set()),
        ("fcm", (), "carried", "fcm", (), set()),
        ("apn", None, "carried", "apn", None, {"message-types-missing"}),
        ("apn", ("twilio.channel.consumption_update",), "carried", "apn", (), {"message-type-ignored"}),
        ("apn", ("new_message", "invited_to_channel"), "reduced", "apn", ALL[:1], {"message-type-dropped"}),
        ("apn", ("pinned",), "reduced", "apn", (), {"message-type-unknown"}),
        ("apn", ("new_message", None), "reduced", "apn", ALL[:1], {"message-type-unknown"}),
        ("gcm", ("new_message",), "blocked", "fcm", ALL[:1], {"binding-gcm"}),
        ("gcm", ("invited_to_channel",), "blocked", "fcm", (), {"binding-gcm", "message-type-dropped"}),
        ("pigeon", ("new_message",), "blocked", None, ALL[:1], {"binding-type-unknown"}),
        (None, ("new_message",), "blocked", None, ALL[:1], {"binding-type-unknown"}),
    ],
)
def test_a_live_binding_has_the_outcome_that_its_facts_call_for(
    binding_type: str | None,
    types: tuple[str | None, ...] | None,
    outcome: str,
    target_type: str | None,
    targets: tuple[str, ...] | None,
    codes: set[str],
) -> None:
    fate = decide(Facts(binding_type, credential_sid(2 if binding_type == "fcm" else 1), types), RULES, ACCOUNT)
    assert (fate.outcome, fate.target_binding_type, fate.target_message_types) == (outcome, target_type, targets)
    assert {code for code, _ in fate.notes} == codes


@pytest.mark.parametrize("binding_type", ["apn", "gcm", "pigeon", None])
def test_an_expired_binding_needs_no_decision(binding_type: str | None) -> None:
    fate = decide(Facts(binding_type, "CR", ("new_message",), expired=True), RULES, ACCOUNT)
    assert (fate.outcome, fate.action, fate.target_credential_sid) == ("expired", "none", None)
    assert fate.notes == (("binding-expired", ""),)


names = st.text(max_size=8) | st.sampled_from(
    [*RULES.message_types, *ALL, "twilio.channel.new_message", "twilio.conversations.new_message", "typing_indicator"]
)
facts = st.builds(
    Facts,
    st.none() | st.sampled_from(["apn", "fcm", "gcm"]) | st.text(max_size=4),
    st.none() | st.sampled_from([credential_sid(number) for number in range(1, 4)]) | st.text(max_size=2),
    st.none() | st.lists(st.none() | names, max_size=5).map(tuple),
    st.booleans(),
    st.sets(st.sampled_from(["identity", "endpoint"])).map(tuple),
    st.booleans(),
    st.booleans(),
)


@given(facts)
def test_every_binding_has_one_outcome_and_nothing_goes_unsaid(facts: Facts) -> None:
    fate = decide(facts, RULES, ACCOUNT)
    assert fate.outcome in OUTCOMES
    assert fate.action in ACTIONS
    assert set(fate.rules) <= set(RULES.reasons)
    subjects = {subject for code, subject in fate.notes if code.startswith("message-type-")}
    for name in facts.message_types or ():
        target = translate_message_type(name, RULES).target
        shown = "(null)" if name is None else name or "(empty)"
        assert (target in (fate.target_message_types or ())) if target else shown in subjects


@given(facts)
def test_the_order_of_message_types_means_nothing(facts: Facts) -> None:
    if facts.message_types:
        other, one = (
            decide(replace(facts, message_types=types), RULES, ACCOUNT)
            for types in (facts.message_types, tuple(sorted(facts.message_types, key=str, reverse=True)))
        )
        assert replace(other, rules=()) == replace(one, rules=())
        assert set(other.rules) == set(one.rules)
