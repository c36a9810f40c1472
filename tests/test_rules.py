"""Rules: one readable file, each with its reason; what a file of one's own changes, and how mistakes in it are told."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.map.rules_toml import DEFAULT_RULES, default_rules, override, read_rules
from migrate.model.errors import InputError
from tests.conftest import Run
from tests.snapshots import credential_sid

CR1, CR2 = credential_sid(1), credential_sid(2)
INVITES = '[message_types]\ninvited_to_channel = "added_to_conversation"'


def test_every_rule_is_shown_with_its_reason(run: Run) -> None:
    shown = run("rules")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == DEFAULT_RULES.read_text("utf-8")
    rules = default_rules()
    assert {name.partition(".")[0] for name in rules.reasons} == set(rules.tables) - {"credentials"}
    assert all(rules.reasons.values())
    told = json.loads(run("rules", "--json").stdout)
    assert told["message_types"]["new_message"] == {"value": "new_message", "reason": "the same push on both sides"}
    assert told["limits"]["fcm_legacy_before"]["value"] == "2024-03-01"


def test_a_file_changes_what_it_names_and_nothing_else(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'[message_types]\n\ninvited_to_channel = "added_to_conversation"  # we add people\n'
        f'[message_type_names]\nignored = [\n  "pinned",\n]\n'
        f'[credentials]\n{CR1} = "{CR2}"\n'
        f"[limits]\nlifetime_days = 365 # the same\n",
        "utf-8",
    )
    shown = run("rules", "--rules", file).stdout
    before, after = tomllib.loads(run("rules").stdout), tomllib.loads(shown)
    changed = {
        f"{table}.{key}": value
        for table, values in after.items()
        for key, value in values.items()
        if before[table].get(key) != value
    }
    assert changed == {
        "message_types.invited_to_channel": "added_to_conversation",
        "message_type_names.ignored": ["pinned"],
        f"credentials.{CR1}": CR2,
    }
    reasons = override(file.read_text(), "mine.toml").reasons
    assert reasons["message_types.invited_to_channel"] == 'we add people [mine.toml line 3; by default "drop"]'
    assert reasons["message_type_names.ignored"].startswith("no reason given [mine.toml line 5; by default [")
    assert reasons[f"credentials.{CR1}"] == "no reason given [mine.toml line 9; by default there is none]"
    assert reasons["limits.lifetime_days"] == default_rules().reasons["limits.lifetime_days"]


def test_what_is_shown_is_a_file_of_rules_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(INVITES + "  # why not")
    (tmp_path / "shown.toml").write_text(run("rules", "--rules", tmp_path / "mine.toml").stdout)
    again = override((tmp_path / "shown.toml").read_text(), "shown.toml")
    assert again.digest == override(INVITES, "x").digest != default_rules().digest
    # Where it comes from is told once, however often it was handed on.
    assert again.reasons["message_types.invited_to_channel"].startswith("why not [shown.toml line ")
    assert again.reasons["message_types.invited_to_channel"].count("[") == 1
    assert read_rules(again.text, "x") == again


@pytest.mark.parametrize("text", ["", "# nothing\n", "[limits]\n", DEFAULT_RULES.read_text("utf-8")])
def test_a_file_that_changes_nothing_leaves_the_rules_as_they_are(text: str) -> None:
    assert override(text, "x") == default_rules()


def test_reasons_do_not_change_what_a_plan_names_the_rules_by() -> None:
    one = override(INVITES, "a.toml")
    other = override(INVITES.replace("\n", "  # said otherwise\n\n"), "b.toml")
    assert one.digest == other.digest
    assert one.reasons != other.reasons or one.text != other.text


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        # What is no TOML.
        ("[limits\n", 1, "not valid TOML"),
        ("\n\nlimits = ", 3, "not valid TOML"),
        ("[limits]\nlifetime_days = 1\nlifetime_days = 2", 3, "not valid TOML"),
        ("[limits]\n[limits]", 2, "not valid TOML"),
        ("x = '''\n\n", 3, "not valid TOML"),
        # Misspelt tables and keys.
        ("\n[message_type]\nnew_message = 'drop'", 2, "unknown table 'message_type'; did you mean 'message_types'?"),
        ("new_message = 'drop'", 1, "unknown table 'new_message'; did you mean"),
        ("limits = 3", 1, "limits must be one table: [limits]"),
        ("[zzz]", 1, "known: binding_types"),
        ("[message_types]\n\n\ninvited = 'drop'", 4, "unknown rule 'invited' in [message_types]; did you mean 'invited_to_channel'?"),
        ("[limits]\nlifetime = 3", 2, "did you mean 'lifetime_days'?"),
        ("[binding_types]\ntwilsok = 'fcm'", 2, "did you mean 'twilsock'?"),
        ("limits.lifetime_day = 3", 1, "did you mean 'lifetime_days'?"),
        # Values.
        ("[message_types]\ninvited_to_channel = 'added_to_conversatoin'", 2, "did you mean 'added_to_conversation'?"),
        ("[message_types]\nnew_message = ''", 2, 'must be "new_message", "added_to_conversation"'),
        ("[message_types]\nnew_message = ['drop']", 2, "message_types.new_message must be"),
        ("[binding_types]\ngcm = 'gcm'", 2, 'binding_types.gcm must be "fcm" or "block"'),
        ("[binding_types]\napn = 'fcm'", 2, 'binding_types.apn must be "apn" or "block"'),
        ("[message_type_names]\nignored = [\n 'a',\n 3,\n]", 2, "must be a list of names"),
        ("[message_type_names]\nchat_prefixes = ['']", 2, "none of them empty"),
        ("[services]\nleave_out = 'IS1'", 2, "a list of services' SIDs"),
        ("[services]\nleave_out = ['IS1']", 2, "a list of services' SIDs"),
        ("[media]\nenabled = true", 2, 'media.enabled must be "as new_message" or "leave"'),
        ("[media]\ntemplate = '${USER}'", 2, "${USER} is none"),
        ("[media]\ntemplate = 3", 2, "media.template must be a text"),
        ("[template_variables]\nUSER = 'PARTICIPENT'", 2, "did you mean 'PARTICIPANT'?"),
        ("[template_variables]\n'${USER}' = 'PARTICIPANT'", 2, "must be a variable's name"),
        ("[template_variables]\nCONVERSATION = 'MESSAGE'", 2, "${CONVERSATION} is Conversations' already"),
        ("[template_texts]\nx = 'hello ${CHANNEL}'", 2, "${CHANNEL} is none"),
        ("[template_texts]\na = 'b'\nb = 'c'", 2, "has a rule of its own"),
        ("[template_texts]\n'' = 'c'", 2, "must be a text"),
        ("[template_texts]\n'${PARTICIPANT}!' = 'x'", 2, "${PARTICIPANT} is Conversations' already"),
        (f"[credentials]\n{CR1} = '{CR2}'\n{CR2} = '{CR1}'", 2, "has a rule of its own"),
        ("[media]\ntemplate = 'x'\nenabled = 'leave'", 2, "of no use"),
        ("[[limits]]\nlifetime_days = 3", 1, "limits must be one table"),
        (f"[credentials]\n{CR1} = 'x'", 2, "must be a credential's SID"),
        (f"[credentials]\nx = '{CR1}'", 2, "must be a credential's SID"),
        ("[limits]\nlifetime_days = 0", 2, "a whole number from 1 to 36,500"),
        ("[limits]\nlifetime_days = 1.5", 2, "a whole number"),
        ("[limits]\nbindings_per_identity = true", 2, "a whole number"),
        ("[limits]\nfcm_legacy_before = 2024-03-01T00:00:00Z", 2, "a date like 2024-03-01"),
        ("[limits]\nfcm_legacy_before = '2024-03-01'", 2, "a date like 2024-03-01"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_line_and_remedy(
    run: Run, tmp_path: Path, text: str, line: int, problem: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    result = run("rules", "--rules", file)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"mine.toml line {line}: " in result.stderr
    assert problem in result.stderr
    assert "chat-migrate rules shows all rules" in result.stderr


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"x = " + b"[" * 100_000, b"[limits]\nlifetime_days = " + b"9" * 5000], ids=range(3)
)
def test_what_cannot_be_read_at_all_is_one_line(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    result = run("rules", "--rules", tmp_path / "mine.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "Unexpected" not in result.stderr


def test_a_file_that_is_not_there_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("rules", "--rules", tmp_path / "absent.toml").exit_code == 2


values = st.one_of(
    st.text(max_size=5), st.integers(), st.booleans(), st.lists(st.text(max_size=3), max_size=2), st.none(),
    st.sampled_from(["drop", "block", "leave", "as new_message", "fcm", CR1, "MESSAGE", "added_to_conversation"]),
)  # fmt: skip
keys = st.text(max_size=6) | st.sampled_from(
    sorted({key for table in default_rules().tables.values() for key in table})
)
tables = st.sampled_from(sorted(default_rules().tables)) | st.text(max_size=5)


@given(st.dictionaries(tables, st.dictionaries(keys, values, max_size=3), max_size=3))
def test_any_file_is_taken_whole_or_refused_with_a_line(content: dict[str, dict[str, object]]) -> None:
    text = ""
    for table, entries in content.items():
        text += f"[{json.dumps(table)}]\n"
        text += "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in entries.items())
    try:
        rules = override(text, "mine.toml")
    except InputError as error:
        assert "mine.toml line " in str(error)  # noqa: PT017
    else:
        for table, entries in content.items():
            assert {**rules.tables[table], **entries} == rules.tables[table]
        assert read_rules(rules.text, "x").digest == rules.digest


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('limits.lifetime_days = 3 # a\nmedia.enabled = "leave" # b\nlimits.bindings_per_identity = 5 # c',
         {"limits.lifetime_days": "a [mine.toml line 1;", "media.enabled": "b [mine.toml line 2;",
          "limits.bindings_per_identity": "c [mine.toml line 3;"}),
        ("limits = {lifetime_days = 3, name_characters = 1}  # of all",
         {"limits.lifetime_days": "of all [mine.toml line 1;", "limits.name_characters": "of all [mine.toml line 1;"}),
        ('["limits"]\r\n"lifetime_days" = 3 # quoted\r\n', {"limits.lifetime_days": "quoted [mine.toml line 2;"}),
        ("[limits]\n# \u2028 \x85\nlifetime_days = 3 # odd breaks are none", {"limits.lifetime_days": "odd breaks are none [mine.toml line 3;"}),
        ('[template_texts]\n"a.b" = """\nx\ny""" # several lines', {"template_texts.a.b": "several lines [mine.toml line 2;"}),
        ('[message_types]\nnew_message = "drop" # ] [x', {"message_types.new_message": "] [x [mine.toml line 2;"}),
        ('[message_types]\nnew_message = "drop" # \u202e odd', {"message_types.new_message": "\\u{202e} odd [mine.toml line 2;"}),
    ],
    ids=range(7),
)  # fmt: skip
def test_toml_can_be_laid_out_as_one_likes(tmp_path: Path, run: Run, text: str, reasons: dict[str, str]) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    told = json.loads(run("rules", "--rules", tmp_path / "mine.toml", "--json").stdout)
    for name, reason in reasons.items():
        table, _, key = name.partition(".")
        assert told[table][key]["reason"].startswith(reason)


def test_a_long_file_is_read_in_no_time(run: Run, tmp_path: Path) -> None:
    entries = [f'{credential_sid(number)} = "{CR2}"  # {number}' for number in range(10, 400)]
    (tmp_path / "long.toml").write_text("[credentials]\n" + "\n".join(entries) + "\nx = 1\n")
    result = run("rules", "--rules", tmp_path / "long.toml")
    assert f"long.toml line {len(entries) + 2}: " in result.stderr
    (tmp_path / "long.toml").write_text("[credentials]\n" + "\n".join(entries))
    told = json.loads(run("rules", "--rules", tmp_path / "long.toml", "--json").stdout)
    assert told["credentials"][credential_sid(399)]["reason"].startswith(f"399 [long.toml line {len(entries) + 1};")
