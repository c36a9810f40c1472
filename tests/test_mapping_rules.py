"""What each rule does to a mapping, through the command line and from snapshots made for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.map.push_config_yaml import parse
from tests.conftest import CASSETTE, Run, service_sid
from tests.snapshots import AS_OF, binding, credential, credential_sid, write_snapshot

SERVICE, OTHER = service_sid(1), service_sid(2)
APN, FCM, GCM, OLD, SANDBOX = (credential_sid(number) for number in range(1, 6))
CREDENTIALS = [
    credential(1, "apn"),
    credential(2, "fcm"),
    credential(3, "gcm"),
    credential(4, "fcm", date_updated=AS_OF.replace(year=2024, month=2, day=29)),
    credential(5, "apn", sandbox="True"),
]


@dataclass(frozen=True)
class Mapped:
    """What a mapping came to."""

    summary: dict[str, Any]
    rows: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]]
    yaml: str

    @property
    def found(self) -> dict[tuple[str, str], int]:
        return {(item["code"], item["subject"]): item["count"] for item in self.summary["findings"]}

    @property
    def codes(self) -> set[str]:
        return {code for code, _ in self.found}


def mapping(
    run: Run,
    folder: Path,
    rules: str = "",
    chat: Any = None,
    bindings: Sequence[dict[str, Any]] = (),
    others: Sequence[dict[str, Any]] = (),
) -> Mapped:
    """Map a snapshot of one service, or two, with rules."""
    services: dict[str, Any] = {SERVICE: {"friendly_name": "one", "notifications": json.dumps(chat)}}
    parts = {SERVICE: [list(bindings)]} if bindings else {}
    if others:
        services[OTHER] = {"friendly_name": "=other", "notifications": None}
        parts[OTHER] = [list(others)]
    write_snapshot(folder / "s", services, parts, CREDENTIALS)
    (folder / "mine.toml").write_text(rules, "utf-8")
    result = run("map", folder / "s", "--out", folder / "m", "--rules", folder / "mine.toml", "--json")
    assert result.exit_code == 0, result.output
    yaml = (folder / "m" / "push-config.yaml").read_text("utf-8")
    files = sorted((folder / "m" / "bindings").rglob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]
    settings = {config.service_sid: dict(config.settings) for config in parse(yaml, "x").services}
    return Mapped(json.loads(result.stdout), rows, settings, yaml)


FOLD = '[message_types]\ninvited_to_channel = "added_to_conversation"'


@pytest.mark.parametrize(
    ("added", "invited", "expected", "codes"),
    [
        # Either is on: the one that takes their place is, and has the texts of the first that is on.
        ({"enabled": True, "template": "a"}, {"enabled": False, "template": "i"}, (True, "a"), {"push-folded"}),
        ({"enabled": False, "template": "a"}, {"enabled": True, "template": "i"}, (True, "i"), {"push-folded"}),
        ({"enabled": True}, {"enabled": True, "template": "i"}, (True, None), {"setting-folded"}),
        ({"enabled": True, "template": "a"}, {"enabled": True, "template": "i"}, (True, "a"), {"setting-folded"}),
        ({"enabled": True, "template": "a"}, {"enabled": True, "template": "a"}, (True, "a"), set()),
        # None is on: neither is it, unless Chat is silent about one that bindings ask for.
        ({"enabled": False, "template": "a"}, {"enabled": False}, (False, "a"), {"push-disabled"}),
        ({"enabled": False}, {}, (None, None), {"push-inferred"}),
        ({}, {"enabled": False, "template": "i"}, (False, "i"), {"push-disabled"}),
        ({}, {}, (None, None), {"push-inferred"}),
    ],
)
def test_invites_can_be_folded_into_being_added(
    run: Run, tmp_path: Path, added: Any, invited: Any, expected: tuple[bool, str | None], codes: set[str]
) -> None:
    row = binding(1, message_types=["invited_to_channel"])
    chat = {"added_to_channel": added, "invited_to_channel": invited}
    found = mapping(run, tmp_path, FOLD, chat, [row])
    settings = found.settings[SERVICE]
    path = "added_to_conversation"
    assert (settings.get(f"{path}.enabled"), settings.get(f"{path}.template")) == expected
    assert found.codes - {"credential-unused"} == codes
    assert found.rows[0]["outcome"] == "carried"
    assert list(found.rows[0]["target_message_types"]) == [path]


def test_what_chat_is_silent_about_is_inferred_from_those_who_ask_for_it(run: Run, tmp_path: Path) -> None:
    """Being added is not said to be off, and bindings ask for it: that invites are off does not switch it off."""
    rows = [binding(1, message_types=["added_to_channel"])]
    trust = '[inference]\nadded_to_conversation = "trust"'
    found = mapping(run, tmp_path, f"{FOLD}\n{trust}", {"invited_to_channel": {"enabled": False}}, rows)
    assert found.settings[SERVICE]["added_to_conversation.enabled"] is True
    assert {"push-trusted", "push-folded"} <= found.codes
    said = "Chat has invited_to_channel off, and does not say of added_to_channel"
    assert f"{said}; 1 live binding subscribes to it (apn 1)" in found.yaml


def test_settings_that_have_no_place_are_told(run: Run, tmp_path: Path) -> None:
    chat = {
        "added_to_channel.enabled": True,
        "foo": {},
        "new_message": {"enabled": True, "badge_count_enabled": True, "deep": {"deeper": {}}},
    }
    rules = '[message_types]\nnew_message = "added_to_conversation"'
    found = mapping(run, tmp_path, rules, chat)
    assert {subject for code, subject in found.found if code == "setting-unknown"} == {
        "added_to_channel.enabled",
        "foo",
        "new_message.deep.deeper",
    }
    assert ("setting-folded", "new_message.badge_count_enabled") in found.found


def test_settings_however_deep_are_no_mistake_of_the_program(run: Run, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", {SERVICE: {"notifications": '{"a":' * 900 + "1" + "}" * 900}}, {})
    result = run("map", tmp_path / "s", "--out", tmp_path / "m")
    assert result.exit_code == 0
    assert "setting-unknown" in result.stdout


def test_a_web_client_needs_no_decision(run: Run, tmp_path: Path) -> None:
    rows = [binding(1, binding_type="twilsock", credential_sid=None)]
    assert mapping(run, tmp_path, "", {}, rows).rows[0]["outcome"] == "carried"


def test_a_credential_of_another_technology_is_told(run: Run, tmp_path: Path) -> None:
    found = mapping(run, tmp_path, "", {}, [binding(1, credential_sid=FCM)])
    assert found.found[("credential-unfit", FCM)] == 1
    assert found.rows[0]["outcome"] == "carried"


def test_a_message_type_that_is_dropped_is_told(run: Run, tmp_path: Path) -> None:
    chat = {"new_message": {"enabled": True, "template": "x", "badge_count_enabled": True}}
    found = mapping(run, tmp_path, '[message_types]\nnew_message = "drop"', chat, [binding(1)])
    assert found.settings[SERVICE] == {}
    assert found.rows[0]["outcome"] == "reduced"
    assert found.found[("push-dropped", "new_message")] == 1
    assert found.found[("message-type-dropped", "new_message")] == 1


def test_names_that_sdks_register_are_rules_too(run: Run, tmp_path: Path) -> None:
    rules = """
[message_type_names]
chat_prefixes = ["a.", "a.b."]
conversations_prefixes = ["new."]
ignored = ["pinned"]
"""
    names = [
        "a.new_message",
        "a.b.added_to_channel",
        "new.removed_from_conversation",
        "pinned",
        "a.pinned",
        "new.pinned",
    ]
    found = mapping(
        run, tmp_path, rules, {}, [binding(1, message_types=names), binding(2, message_types=["b.pinned"])]
    )
    assert list(found.rows[0]["target_message_types"]) == [
        "new_message",
        "added_to_conversation",
        "removed_from_conversation",
    ]
    assert [row["outcome"] for row in found.rows] == ["carried", "reduced"]
    assert found.rows[0]["action"] == "registered"
    ignored = {subject for code, subject in found.found if code == "message-type-ignored"}
    assert ignored == {"pinned", "a.pinned", "new.pinned"}
    assert found.found[("message-type-unknown", "b.pinned")] == 1


@pytest.mark.parametrize(
    ("rules", "outcome", "target", "action", "codes"),
    [
        ("", "blocked", None, "decide", {"binding-gcm"}),
        ('[binding_types]\ngcm = "block"', "blocked", None, "decide", {"binding-type-blocked"}),
        (
            f'[credentials]\n{GCM} = "{FCM}"',
            "carried",
            FCM,
            "register-with-new-credential",
            {"credential-replaced"},
        ),
        (
            f'[credentials]\n{GCM} = "{OLD}"',
            "carried",
            OLD,
            "register-with-new-credential",
            {"credential-replaced", "credential-fcm-legacy"},
        ),
        (f'[credentials]\n{GCM} = "{APN}"', "blocked", None, "decide", {"credential-replacement-unfit"}),
        (f'[credentials]\n{GCM} = "{GCM}"', "blocked", None, "decide", {"credential-replacement-unfit"}),
        (
            f'[credentials]\n{GCM} = "{credential_sid(9)}"',
            "blocked",
            None,
            "decide",
            {"credential-replacement-missing"},
        ),
    ],
)
def test_a_gcm_device_is_blocked_until_a_credential_is_named(
    run: Run, tmp_path: Path, rules: str, outcome: str, target: str | None, action: str, codes: set[str]
) -> None:
    rows = [
        binding(1, binding_type="gcm", credential_sid=GCM),
        binding(2, binding_type="gcm", credential_sid=GCM, date_updated=AS_OF - timedelta(days=400)),
    ]
    found = mapping(run, tmp_path, rules, {"new_message": {"enabled": True}}, rows)
    live, expired = found.rows
    assert (live["outcome"], live["target_credential_sid"], live["action"]) == (outcome, target, action)
    assert set(live["findings"]) == codes
    assert (expired["outcome"], expired["action"], list(expired["findings"])) == (
        "expired",
        "none",
        ["binding-expired"],
    )
    (used,) = found.summary["services"][0]["credentials"]
    assert used == {"credential_sid": GCM, "bindings": {"gcm": 2}, "live": 1, "push_credential_sid": target}


def test_credentials_are_told_by_what_is_known_of_them(run: Run, tmp_path: Path) -> None:
    rows = [
        binding(1, credential_sid=SANDBOX),
        binding(2, credential_sid=OLD, binding_type="fcm"),
        binding(3, credential_sid=FCM, binding_type="fcm"),
        binding(4, credential_sid=credential_sid(8)),
        binding(5, credential_sid=None),
        binding(6, credential_sid=OLD, binding_type="fcm", date_updated=AS_OF - timedelta(days=999)),
    ]
    found = mapping(run, tmp_path, "", {"new_message": {"enabled": True}}, rows)
    assert {key: count for key, count in found.found.items() if key[0].startswith("credential-")} == {
        ("credential-sandbox", SANDBOX): 1,
        ("credential-fcm-legacy", OLD): 1,
        ("credential-missing", credential_sid(8)): 1,
        ("credential-unused", APN): 1,
        ("credential-unused", GCM): 1,
    }
    assert found.found[("binding-incomplete", "credential_sid")] == 1
    examples = {item["code"]: item["examples"] for item in found.summary["findings"]}
    assert examples["credential-sandbox"] == [rows[0]["sid"]]
    text = run("map", tmp_path / "s", "--out", tmp_path / "again").stdout
    assert f"{SANDBOX}  apn credential (apn, sandbox, changed 2026-06-15): apn 1" in text
    assert f"{credential_sid(8)}  not in the account: apn 1" in text
    assert "push_credential_sid" not in text


def test_what_the_token_server_must_change_is_listed(run: Run, tmp_path: Path) -> None:
    rows = [binding(1), binding(2, binding_type="gcm", credential_sid=GCM)]
    found = mapping(run, tmp_path, f'[credentials]\n{APN} = "{SANDBOX}"', {}, rows)
    assert [(row["target_credential_sid"], row["action"]) for row in found.rows] == [
        (SANDBOX, "register-with-new-credential"),
        (None, "decide"),
    ]
    assert found.found[("credential-replaced", f"{APN} → {SANDBOX}")] == 1
    text = run("map", tmp_path / "s", "--out", tmp_path / "again", "--rules", tmp_path / "mine.toml").stdout
    listed = text.partition("push_credential_sid that the token server must change\n")[2]
    assert f"{APN} → {SANDBOX}  1 live binding\n" in listed
    assert f"{GCM} → (decide first: see the findings)  1 live binding\n" in listed


@pytest.mark.parametrize(
    ("rules", "template", "enabled", "expected"),
    [
        ("", "t", True, {"enabled": True}),
        ("", "t", False, {"enabled": False}),
        ('[media]\nenabled = "leave"', "t", True, {}),
        ('[media]\ntemplate = "${PARTICIPANT}: ${MEDIA}"', "t", True, {"enabled": True, "template": "${PARTICIPANT}: ${MEDIA}"}),
        ('[media]\ntemplate = "a # b\\nc: [d"', "t", True, {"enabled": True, "template": "a # b\nc: [d"}),
        ('[media]\ntemplate = "x"', "t", False, {"enabled": False}),
        ('[media]\ntemplate = "as new_message"', "${USER}", True, {"enabled": True, "template": "${PARTICIPANT}"}),
        ('[media]\ntemplate = "as new_message"', None, True, {"enabled": True}),
    ],
)  # fmt: skip
def test_media_messages_push_as_the_rules_say(
    run: Run, tmp_path: Path, rules: str, template: str | None, enabled: bool, expected: dict[str, Any]
) -> None:
    chat = {"new_message": {"enabled": enabled, "template": template}}
    found = mapping(run, tmp_path, rules, chat)
    prefix = "new_message.with_media."
    media = {path.removeprefix(prefix): value for path, value in found.settings[SERVICE].items() if prefix in path}
    assert media == expected


def test_templates_follow_the_rules_for_variables_and_texts(run: Run, tmp_path: Path) -> None:
    rules = """
[template_variables]
CHANEL = "CONVERSATION"  # our own misspelling
[template_texts]
"${USER} wrote" = "news from ${PARTICIPANT}"
"""
    chat = {
        "new_message": {"enabled": True, "template": "${USER} wrote"},
        "added_to_channel": {"enabled": True, "template": "${CHANEL}!"},
        "removed_from_channel": {"enabled": True, "template": "${USER} has removed you from the channel ${CHANNEL}"},
    }
    found = mapping(run, tmp_path, rules, chat, [binding(1)])
    settings = found.settings[SERVICE]
    assert settings["new_message.template"] == "news from ${PARTICIPANT}"
    assert settings["added_to_conversation.template"] == "${CONVERSATION}!"
    assert settings["removed_from_conversation.template"].startswith("${PARTICIPANT} has removed you from the conv")
    reworded = {subject for code, subject in found.found if code == "template-reworded"}
    assert reworded == {"new_message.template", "removed_from_conversation.template"}
    assert "template-variable-unknown" not in found.codes


def test_a_chat_template_that_comes_alive_is_told(run: Run, tmp_path: Path) -> None:
    """Chat shows ${PARTICIPANT} as it stands; in Conversations it becomes a name."""
    chat = {
        "new_message": {"enabled": True, "template": "${USER} ${PARTICIPANT} ${MEDIA}"},
        "added_to_channel": {"enabled": True, "template": "${USER} added you"},
    }
    found = mapping(run, tmp_path, '[media]\ntemplate = "as new_message"', chat, [binding(1)])
    assert {subject for code, subject in found.found if code == "template-variable-alive"} == {
        "new_message.template: ${PARTICIPANT}",
        "new_message.with_media.template: ${PARTICIPANT}",
        "new_message.with_media.template: ${MEDIA}",
    }


def test_what_is_reworded_or_cut_is_told_with_the_apps_that_parse_it(run: Run, tmp_path: Path) -> None:
    chat = {
        "new_message": {"enabled": True, "template": "${CHANNEL};${USER}: ${MESSAGE}"},
        "added_to_channel": {"enabled": True, "template": f"{'x' * 150} ${{USER}} ${{CHANNEL}}"},
    }
    mapping(run, tmp_path, "", chat, [binding(1)])
    text = run("map", tmp_path / "s", "--out", tmp_path / "again").stdout
    for code in ("template-reworded", "template-long"):
        section = text.partition(code)[2].partition("→")[0]
        assert "apps that parse the text of a push break" in section


@pytest.mark.parametrize(("days", "outcome"), [(29, "carried"), (31, "expired")])
def test_the_lifetime_is_a_rule(run: Run, tmp_path: Path, days: int, outcome: str) -> None:
    row = binding(1, date_updated=AS_OF - timedelta(days=days))
    assert mapping(run, tmp_path, "[limits]\nlifetime_days = 30", {}, [row]).rows[0]["outcome"] == outcome


def test_crowds_are_marked_on_their_bindings(run: Run, tmp_path: Path) -> None:
    rows = [binding(number, identity="one" if number < 4 else f"user {number}") for number in range(1, 7)]
    rows += [
        binding(7, endpoint="phone"),
        binding(8, endpoint="phone"),
        binding(9, endpoint=None),
        binding(10, endpoint=None),
    ]
    found = mapping(run, tmp_path, "[limits]\nbindings_per_identity = 2", {}, rows)
    marks = {
        row["sid"][-2:]: set(row["findings"]) - {"binding-incomplete"} for row in found.rows if len(row["findings"])
    }
    assert {sid: codes for sid, codes in marks.items() if codes} == {
        "01": {"identity-crowded"},
        "02": {"identity-crowded"},
        "03": {"identity-crowded"},
        "07": {"endpoint-shared"},
        "08": {"endpoint-shared"},
    }
    assert (found.found[("identity-crowded", "")], found.found[("endpoint-shared", "")]) == (3, 2)


def test_estimates_of_length_are_rules_and_load_keeps_to_them(run: Run, tmp_path: Path) -> None:
    chat = {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}"}}
    found = mapping(run, tmp_path, "[limits]\nname_characters = 100\nmessage_characters = 77", chat, [binding(1)])
    assert found.found[("template-long", "new_message.template: about 179 characters")] == 1
    assert found.summary["lengths"] == {"name": 100, "message": 77}


def test_a_service_that_is_left_out_is_counted_and_told_and_has_no_settings(run: Run, tmp_path: Path) -> None:
    rows = [binding(1, message_types=["invited_to_channel"]), binding(2, binding_type="gcm", credential_sid=GCM)]
    absent = service_sid(9)
    found = mapping(run, tmp_path, f'[services]\nleave_out = ["{OTHER}", "{absent}"]', {}, [binding(3)], rows)
    assert set(found.settings) == {SERVICE}
    assert f'# {OTHER} "=other": left out by the rules' in found.yaml
    assert found.summary["totals"]["bindings"] == len(found.rows) == 3
    assert found.summary["services"][1]["outcomes"] == {"blocked": 1, "reduced": 1}
    theirs = [item for item in found.summary["findings"] if item["service_sid"] == OTHER]
    assert [(item["code"], item["count"]) for item in theirs] == [("service-left-out", 2)]
    assert found.found[("rule-unused", f"services.leave_out: {absent}")] == 1


@pytest.mark.parametrize(("day", "legacy"), [(29, True), (1, False)])
def test_a_credential_of_the_first_day_that_counts_is_no_legacy_one(
    run: Run, tmp_path: Path, day: int, legacy: bool
) -> None:
    changed = AS_OF.replace(year=2024, month=2 if day == 29 else 3, day=day)
    rows = [binding(1, binding_type="fcm", credential_sid=FCM)]
    write_snapshot(tmp_path / "s", {SERVICE: {}}, {SERVICE: [rows]}, [credential(2, "fcm", date_updated=changed)])
    shown = run("map", tmp_path / "s", "--out", tmp_path / "m").stdout
    assert ("credential-fcm-legacy" in shown) == legacy


def test_a_credential_that_is_to_take_anothers_place_is_not_unused(run: Run, tmp_path: Path) -> None:
    rows = [binding(1, binding_type="gcm", credential_sid=GCM)]
    found = mapping(run, tmp_path, f'[credentials]\n{GCM} = "{FCM}"', {}, rows)
    unused = {subject for code, subject in found.found if code == "credential-unused"}
    assert unused == {APN, OLD, SANDBOX}


def test_a_run_that_stops_half_way_names_a_command_with_its_rules(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my rules.toml").write_text("[limits]\nlifetime_days = 30")

    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("migrate.map.mapping.service_config", failing)
    command = (
        "run",
        "--replay",
        CASSETTE,
        "--out",
        tmp_path / "o",
        "--rules",
        tmp_path / "my rules.toml",
    )
    result = run(*command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "The snapshot is finished" in result.stderr
    assert f"--rules '{tmp_path / 'my rules.toml'}'" in result.stderr


def test_a_rule_for_a_credential_that_nothing_uses_is_told(run: Run, tmp_path: Path) -> None:
    found = mapping(run, tmp_path, f'[credentials]\n{GCM} = "{FCM}"', {}, [binding(1)])
    assert found.found[("rule-unused", f"credentials.{GCM}")] == 1


LETTERED, SHOUTED = "IS" + "ab" * 16, "IS" + "AB" * 16


def account_of_letters(run: Run, folder: Path, rules: str) -> Any:
    """Map one service whose SID has letters, with a rule of either spelling."""
    rows = [binding(1, message_types=["new_message"], credential_sid="CR" + "cd" * 16)]
    write_snapshot(
        folder / "s", {LETTERED: {"friendly_name": "one", "notifications": None}}, {LETTERED: [rows]}, CREDENTIALS
    )
    (folder / "mine.toml").write_text(rules, "utf-8")
    return run("map", folder / "s", "--out", folder / "m", "--rules", folder / "mine.toml", "--json")


@pytest.mark.parametrize(
    "rules",
    [
        f'[services]\nleave_out = ["{SHOUTED}"]',
        f'[inference]\ndefault = "trust"\n{SHOUTED} = "leave"',
        f'[inference]\ndefault = "trust"\n{SHOUTED} = {{ new_message = "leave" }}',
        f'[credentials]\nCR{"CD" * 16} = "{APN.upper()}"',
    ],
)
def test_a_rule_holds_for_a_sid_however_its_letters_are_written(run: Run, tmp_path: Path, rules: str) -> None:
    found = account_of_letters(run, tmp_path, rules)
    assert found.exit_code == 0, found.output
    assert "rule-unused" not in {item["code"] for item in json.loads(found.stdout)["findings"]}
    yaml = (tmp_path / "m" / "push-config.yaml").read_text("utf-8")
    settings = {one.service_sid: one.settings for one in parse(yaml, "x").services}
    assert "new_message.enabled" not in settings.get(LETTERED, {})
    if "credentials" in rules:
        (row,) = pq.read_table(tmp_path / "m/bindings").to_pylist()
        assert APN in row.values()


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (f'[inference]\n{LETTERED} = "leave"\n\n{SHOUTED} = "trust"', "mine.toml line 2: IS"),
        (
            f'[credentials]\n{APN} = "{FCM}"\n{GCM} = "CR{"AB" * 16}"\nCR{"ab" * 16} = "{FCM}"',
            "mine.toml line 3: the",
        ),
    ],
)
def test_rules_that_differ_in_letters_alone_contradict_each_other(
    run: Run, tmp_path: Path, rules: str, problem: str
) -> None:
    refused = account_of_letters(run, tmp_path, rules)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert problem in refused.stderr
