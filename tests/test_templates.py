"""Templates: known variables renamed, everything else left as it stands; and what is wrong in them is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.rules_toml import default_rules
from migrate.map.templates import coming_alive, translate_template
from migrate.model.config_check import check_config
from migrate.model.push_config import ServiceConfig
from migrate.model.templates import PUSH_CHARACTERS, VARIABLES, Lengths, estimate
from tests.conftest import service_sid

RULES = default_rules()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Chat's default templates (FACTS, "Template variables").
        ("${CHANNEL};${USER}: ${MESSAGE}", "${CONVERSATION};${PARTICIPANT}: ${MESSAGE}"),
        (
            "You have been added to channel ${CHANNEL} by ${USER}",
            "You have been added to conversation ${CONVERSATION} by ${PARTICIPANT}",
        ),
        (
            "${USER} has invited you to join the channel ${CHANNEL}",
            "${PARTICIPANT} has added you to the conversation ${CONVERSATION}",
        ),
        (
            "${USER} has removed you from the channel ${CHANNEL}",
            "${PARTICIPANT} has removed you from the conversation ${CONVERSATION}",
        ),
        # Nearly a default: nobody else's words are touched.
        (
            "${USER} has removed you from the channel ${CHANNEL}!",
            "${PARTICIPANT} has removed you from the channel ${CONVERSATION}!",
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
    assert set(RULES.tables["template_variables"].values()) <= VARIABLES


def test_an_unknown_variable_is_kept() -> None:
    assert translate_template("${CHANEL} ${user}", RULES) == "${CHANEL} ${user}"


def found(path: str, text: str) -> list[tuple[str, str]]:
    config = ServiceConfig(service_sid(1), "x", {path: text})
    return [(finding.code, finding.subject) for finding in check_config(config, {}, {}, (), Lengths())]


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
        ("new_message.template", "x" * 179, [("template-long", "new_message.template: about 179 characters")]),
        (
            "new_message.template",
            "${ MESSAGE }",
            [("template-variable-unknown", "new_message.template: ${ MESSAGE }")],
        ),
        ("new_message.template", "${}$5 {x}", [("template-variable-unknown", "new_message.template: ${}")]),
        ("new_message.sound", "${MESSAGE}${X} ${USER", []),
        # Written like a variable, and none.
        ("new_message.template", "${USER", [("template-slip", "new_message.template: ${USER")]),
        ("new_message.template", "${{USER}} ${MESSAGE}", [("template-slip", "new_message.template: ${{USER}}")]),
        ("new_message.template", "$USER wrote", [("template-slip", "new_message.template: $USER")]),
        ("new_message.template", "{MESSAGE}", [("template-slip", "new_message.template: {MESSAGE}")]),
        ("new_message.template", "{{ participant }}", [("template-slip", "new_message.template: {{ participant }}")]),
        ("new_message.template", "$(CHANNEL)", [("template-slip", "new_message.template: $(CHANNEL)")]),
        ("new_message.template", "a ${MESSAGE", [("template-slip", "new_message.template: ${MESSAGE")]),
        ("new_message.template", "${", [("template-slip", "new_message.template: ${")]),
        ("new_message.template", f"${{{'x' * 99}", [("template-slip", f"new_message.template: ${{{'x' * 38}")]),
        # What is none, and was not meant for one.
        ("new_message.template", "$5 {really} $ {x} #message @user %USER 50% user (message)", []),
        ("new_message.template", "$USERNAME {MESSAGES} $MESSAGE_X", []),
    ],
)
def test_what_is_wrong_in_a_template_is_found(path: str, text: str, codes: list[tuple[str, str]]) -> None:
    assert found(path, text) == codes


@pytest.mark.parametrize(
    "text",
    [
        "A message from  in ",
        "A message from in",
        "; : ",
        ";: ",
        "New message:",
        "You have been added to channel  by ",
        "You have been added to channel by",
        " has removed you from the channel ",
        "has invited you to join the channel ",
        "from () in ()",
        'wrote "" to you',
        "New in , just now",
        "Written by .",
        "📱  wrote",
        "   ",
    ],
)
def test_a_text_whose_variables_a_shell_has_eaten_is_found(text: str) -> None:
    assert found("new_message.template", text) == [("template-eaten", f"new_message.template: {text}")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You have a new message",
        "New message! Open the app.",
        "Nouveau message !",
        "Two sentences.  And two spaces between them",
        "two\n\nlines\n",
        "Support (24 h): write to us",
        "Mark's message",
        "Someone is waiting ...",
        "Someone is waiting .. really",
        "A lesson in .NET",
        "📱  New message",
        "✉️  New message",
        "New 📱  Message",
        "•  Neue Nachricht",
        "${MESSAGE}  and two spaces ",  # a variable is there: nothing was eaten
    ],
)
def test_a_text_without_variables_that_reads_well_is_left_in_peace(text: str) -> None:
    assert found("new_message.template", text) == []


@given(st.lists(st.sampled_from([*VARIABLES]).map(lambda name: f"${{{name}}}") | st.text("abc ,.:!-", max_size=5)))
def test_no_variable_that_is_written_right_is_a_slip(parts: list[str]) -> None:
    assert "template-slip" not in {code for code, _ in found("new_message.template", "".join(parts))}


@pytest.mark.parametrize(
    ("text", "path", "alive"),
    [
        (
            "${PARTICIPANT} of ${CONVERSATION} ${PARTICIPANT}",
            "new_message.template",
            ["${CONVERSATION}", "${PARTICIPANT}"],
        ),
        ("${USER} in ${CHANNEL}: ${MESSAGE}", "new_message.template", []),
        ("${MEDIA}", "new_message.template", []),  # not filled in there
        ("${MEDIA}", "new_message.with_media.template", ["${MEDIA}"]),
        ("${NOBODY}", "new_message.template", []),
    ],
)
def test_what_only_conversations_knows_comes_alive(text: str, path: str, alive: list[str]) -> None:
    assert coming_alive(text, path, RULES) == alive


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("", 0),
        ("x" * 200, 200),
        ("${MESSAGE}", 40),  # a message of the rules' length
        ("${PARTICIPANT}: ${MESSAGE}", 20 + 2 + 40),  # a name of the rules' length
        ("${CONVERSATION_SID}", 34),  # SIDs are 34 characters
        ("${MEDIA_COUNT} files", 1 + 6),
        ("${CHANEL}", 9),  # shows as it stands
    ],
)
def test_the_length_of_a_push_is_estimated(text: str, characters: int) -> None:
    assert estimate(text, Lengths()) == characters


def test_a_push_that_is_probably_cut_is_found() -> None:
    room = PUSH_CHARACTERS - 20 - 40
    assert found("new_message.template", "x" * room + "${PARTICIPANT}${MESSAGE}") == []
    codes = found("new_message.template", "x" * (room + 1) + "${PARTICIPANT}${MESSAGE}")
    assert codes == [("template-long", "new_message.template: about 179 characters")]


defaults = st.sampled_from([*RULES.tables["template_texts"], *RULES.tables["template_texts"].values()])
pieces = defaults.map(lambda text: [text]) | st.lists(
    st.text(max_size=5) | st.sampled_from(["${", "}", "${USER}", "${CHANNEL}", "${MESSAGE}", "${X}"])
)


@given(pieces)
def test_translating_again_changes_nothing(parts: list[str]) -> None:
    once = translate_template("".join(parts), RULES)
    assert translate_template(once, RULES) == once
