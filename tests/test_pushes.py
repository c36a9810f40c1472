"""What phones show before and after a change: with examples for the variables, cut where Twilio cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.plan import Change
from migrate.model.templates import PUSH_CHARACTERS, VARIABLES
from migrate.report.pushes import EXAMPLES, Push, push_changes, push_of
from tests.conftest import service_sid

words = st.lists(
    st.sampled_from(["${MESSAGE}", "${MEDIA}", "${PARTICIPANT}", "${", "}", "${USER}", "x" * 90, "é🚕 "])
)


def shown(push: str, template: str) -> Push:
    return push_of(push, {f"{push}.enabled": True, f"{push}.template": template})


def test_every_variable_has_an_example() -> None:
    assert set(EXAMPLES) == VARIABLES
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(
    ("push", "template", "text", "kept"),
    [
        ("new_message", "${PARTICIPANT} in ${CONVERSATION}: ${MESSAGE}", "Alice in team-chat: Hello!", []),
        # The unique name first; and what is called the identity is the friendly name first, as ${PARTICIPANT} is.
        ("new_message", "${CONVERSATION}|${CONVERSATION_UNIQUE_NAME}", "team-chat|team-chat", []),
        ("new_message", "${CONVERSATION_FRIENDLY_NAME}", "Team chat", []),
        ("new_message", "${PARTICIPANT_IDENTITY}|${PARTICIPANT_FRIENDLY_NAME}", "Alice|Alice", []),
        ("new_message.with_media", "${MEDIA_COUNT} × ${MEDIA}", "1 × photo.jpg", []),
        ("new_message", "${MEDIA}!", "${MEDIA}!", ["${MEDIA}"]),
        ("added_to_conversation", "${MESSAGE}", "${MESSAGE}", ["${MESSAGE}"]),
        ("removed_from_conversation", "You left ${CHANEL} {x} $5", "You left ${CHANEL} {x} $5", ["${CHANEL}"]),
        ("new_message", "${USER} ${}", "${USER} ${}", ["${USER}", "${}"]),
    ],
)
def test_variables_are_filled_where_twilio_fills_them_and_others_stay(
    push: str, template: str, text: str, kept: list[str]
) -> None:
    found = shown(push, template)
    assert (found.state, found.text, found.cut) == ("own", text, False)
    assert [piece.text for piece in found.pieces if piece.kept] == kept


@given(words)
def test_a_push_is_cut_at_178_characters_and_says_so(parts: list[str]) -> None:
    whole = "".join({"${MESSAGE}": "Hello!", "${PARTICIPANT}": "Alice"}.get(part, part) for part in parts) + "end"
    found = shown("new_message", "".join(parts) + "end")
    assert (found.text, found.cut) == (whole[:PUSH_CHARACTERS], len(whole) > PUSH_CHARACTERS)


def test_what_is_exactly_as_long_as_a_push_is_not_cut() -> None:
    assert not shown("new_message", "x" * PUSH_CHARACTERS).cut
    assert shown("new_message", "x" * PUSH_CHARACTERS + "${PARTICIPANT}").cut


def test_only_pushes_that_look_otherwise_are_told() -> None:
    existing: dict[str, bool | str] = {
        "new_message.enabled": True,
        "new_message.template": "a",
        "added_to_conversation.template": "b",
        "removed_from_conversation.enabled": True,
    }
    desired: dict[str, bool | str] = {
        "new_message.sound": "horn",
        "new_message.with_media.enabled": True,
        "added_to_conversation.template": "c",
        "removed_from_conversation.enabled": False,
    }
    told = push_changes(Change(service_sid(1), "x", existing, desired, tuple(desired)))
    assert [(pair.push, pair.before.state, pair.after.state) for pair in told] == [
        ("new_message.with_media", "off", "default"),
        ("removed_from_conversation", "default", "off"),
    ]


def test_what_is_desired_and_not_changed_has_no_part_in_it() -> None:
    desired: dict[str, bool | str] = {"new_message.enabled": True, "new_message.template": "new"}
    (pair,) = push_changes(Change(service_sid(1), "x", {}, desired, ("new_message.enabled",)))
    assert pair.after == Push("default")
