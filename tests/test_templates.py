"""Templates: known variables renamed, everything else left as it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.rules import default_rules
from migrate.map.templates import translate_template

RULES = default_rules()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Chat's default templates (FACTS, "Template variables").
        ("${CHANNEL};${USER}: ${MESSAGE}", "${CONVERSATION};${PARTICIPANT}: ${MESSAGE}"),
        (
            "You have been added to channel ${CHANNEL} by ${USER}",
            "You have been added to channel ${CONVERSATION} by ${PARTICIPANT}",
        ),
        (
            "${USER_FRIENDLY_NAME} ${USER_IDENTITY} ${USER_SID}",
            "${PARTICIPANT_FRIENDLY_NAME} ${PARTICIPANT_IDENTITY} ${PARTICIPANT_SID}",
        ),
        (
            "${CHANNEL_FRIENDLY_NAME} ${CHANNEL_SID} ${CHANNEL_UNIQUE_NAME}",
            "${CONVERSATION_FRIENDLY_NAME} ${CONVERSATION_SID} ${CONVERSATION_UNIQUE_NAME}",
        ),
        # No variables.
        ("$5 {USER} $ {USER} ${} ${a b} $USER }{ ${USER", "$5 {USER} $ {USER} ${} ${a b} $USER }{ ${USER"),
        ("$${USER}}", "$${PARTICIPANT}}"),
        ("", ""),
        # Conversations' words already.
        (
            "${PARTICIPANT} ${CONVERSATION} ${MEDIA_COUNT} ${MEDIA}",
            "${PARTICIPANT} ${CONVERSATION} ${MEDIA_COUNT} ${MEDIA}",
        ),
    ],
)
def test_variables_are_renamed_and_the_rest_is_left_alone(text: str, expected: str) -> None:
    assert translate_template(text, "new_message.template", RULES) == (expected, [])


def test_an_unknown_variable_is_kept_and_noted() -> None:
    text, notes = translate_template("${CHANEL} ${user}", "new_message.template", RULES)
    assert text == "${CHANEL} ${user}"
    assert notes == [
        ("template-variable-unknown", "new_message.template: ${CHANEL}"),
        ("template-variable-unknown", "new_message.template: ${user}"),
    ]


def test_a_message_where_there_is_none_is_noted() -> None:
    path = "added_to_conversation.template"
    assert translate_template("${MESSAGE}", path, RULES) == ("${MESSAGE}", [("template-message-unavailable", path)])


@pytest.mark.parametrize(("length", "noted"), [(178, False), (179, True)])
def test_a_template_over_the_cut_is_noted(length: int, noted: bool) -> None:
    _, notes = translate_template("x" * length, "new_message.template", RULES)
    assert bool(notes) is noted


pieces = st.lists(st.text(max_size=5) | st.sampled_from(["${", "}", "${USER}", "${CHANNEL}", "${MESSAGE}", "${X}"]))


@given(pieces)
def test_translating_again_changes_nothing(parts: list[str]) -> None:
    once, _ = translate_template("".join(parts), "new_message.template", RULES)
    assert translate_template(once, "new_message.template", RULES)[0] == once
