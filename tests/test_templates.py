"""Templates: known variables renamed, everything else left as it stands; and what is wrong in them is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.rules import default_rules
from migrate.map.templates import translate_template
from migrate.model.push_config import ServiceConfig
from migrate.model.templates import VARIABLES, check_templates
from tests.conftest import service_sid

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
    assert translate_template(text, RULES) == expected


def test_every_variable_that_the_rules_give_exists_in_conversations() -> None:
    assert set(RULES.template_variables.values()) <= VARIABLES


def test_an_unknown_variable_is_kept() -> None:
    assert translate_template("${CHANEL} ${user}", RULES) == "${CHANEL} ${user}"


def found(path: str, text: str) -> list[tuple[str, str]]:
    config = ServiceConfig(service_sid(1), "x", {path: text})
    return [(finding.code, finding.subject) for finding in check_templates([config])]


@pytest.mark.parametrize(
    ("path", "text", "codes"),
    [
        ("new_message.template", "${PARTICIPANT} in ${CONVERSATION_UNIQUE_NAME}: ${MESSAGE}", []),
        ("new_message.with_media.template", "${MEDIA_COUNT} ${MEDIA} ${MESSAGE}", []),
        ("new_message.template", "${CHANEL}", [("template-variable-unknown", "new_message.template: ${CHANEL}")]),
        ("new_message.template", "${USER}", [("template-variable-unknown", "new_message.template: ${USER}")]),
        ("new_message.template", "${MEDIA}", [("template-media-unavailable", "new_message.template")]),
        (
            "added_to_conversation.template",
            "${MESSAGE} ${MESSAGE}",
            [("template-message-unavailable", "added_to_conversation.template")],
        ),
        ("new_message.template", "x" * 178, []),
        ("new_message.template", "x" * 179, [("template-long", "new_message.template")]),
        ("new_message.sound", "${MESSAGE}${X}", []),
    ],
)
def test_what_is_wrong_in_a_template_is_found(path: str, text: str, codes: list[tuple[str, str]]) -> None:
    assert found(path, text) == codes


pieces = st.lists(st.text(max_size=5) | st.sampled_from(["${", "}", "${USER}", "${CHANNEL}", "${MESSAGE}", "${X}"]))


@given(pieces)
def test_translating_again_changes_nothing(parts: list[str]) -> None:
    once = translate_template("".join(parts), RULES)
    assert translate_template(once, RULES) == once
