"""Whatever a snapshot holds: one outcome for each binding, nothing unsaid, nothing wider, whatever the order."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.decision import translate_message_type
from migrate.map.mapped_folder import Summary
from migrate.map.mapping import map_snapshot
from migrate.map.outcome import ACTIONS, OUTCOMES
from migrate.map.push_config_yaml import parse
from migrate.map.rules import Rules
from migrate.map.rules_toml import default_rules, override
from migrate.map.templates import translate_template
from tests.conftest import service_sid
from tests.snapshots import AS_OF, credential, credential_sid, write_snapshot

RULES = default_rules()
OTHERS = override(
    f'''
[message_types]
invited_to_channel = "added_to_conversation"
removed_from_channel = "drop"
[binding_types]
fcm = "block"
[credentials]
{credential_sid(3)} = "{credential_sid(2)}"
[inference]
default = "trust"
[limits]
lifetime_days = 10
bindings_per_identity = 1
''',
    "others.toml",
)
SERVICES = [service_sid(1), service_sid(2)]
SDK = ["twilio.channel.new_message", "twilio.conversations.added_to_conversation", "typing_indicator", "a,b", "0"]
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
texts = st.none() | st.sampled_from(["one", "two"]) | words
rows = st.fixed_dictionaries(
    {
        "service": st.sampled_from(SERVICES),
        "endpoint": texts,
        "identity": texts,
        "binding_type": st.none() | st.sampled_from(["apn", "fcm", "gcm"]) | words,
        "credential_sid": st.none() | st.sampled_from([credential_sid(number) for number in range(1, 5)]) | words,
        "message_types": st.none() | st.lists(st.none() | st.sampled_from([*RULES.message_types, *SDK]) | words, max_size=4),
        "date_created": st.none() | st.integers(-800, 800).map(lambda days: AS_OF + timedelta(days=days)),
        "date_updated": st.none() | st.integers(-800, 800).map(lambda days: AS_OF + timedelta(days=days)),
    }
)  # fmt: skip
pieces = st.lists(
    words | st.sampled_from(["${USER}", "${CHANNEL}", "${X}", "${", "}", "$", *RULES.tables["template_texts"]])
)
setting = st.none() | st.booleans() | pieces.map("".join)
push = setting | st.dictionaries(
    st.sampled_from(["enabled", "template", "sound", "badge_count_enabled", "other"]), setting
)
chat = st.none() | st.dictionaries(st.sampled_from([*RULES.message_types, "log_enabled", "other"]), push)
Row = dict[str, Any]


class Mapping:
    """A mapping, and what it was made from."""

    def __init__(
        self, folder: Path, parts: Sequence[Sequence[Row]], notifications: Sequence[Any], rules: Rules
    ) -> None:
        services = {
            sid: {"friendly_name": "x", "notifications": json.dumps(said)}
            for sid, said in zip(SERVICES, notifications, strict=True)
        }
        bindings = {sid: [[row for row in part if row["service"] == sid] for part in parts] for sid in SERVICES}
        account = [credential(1, "apn", sandbox="True"), credential(2, "fcm"), credential(3, "gcm")]
        shutil.rmtree(folder, ignore_errors=True)
        write_snapshot(folder / "s", services, bindings, account)
        self.summary: Summary = map_snapshot(folder / "s", folder / "m", rules)
        found = sorted((folder / "m" / "bindings").rglob("*.parquet"))
        self.services = {row["sid"]: row["service"] for part in parts for row in part}
        self.rows: dict[str, Row] = {
            row["sid"]: row for path in found for row in pq.read_table(path, partitioning=None).to_pylist()
        }
        self.text = (folder / "m" / "push-config.yaml").read_text("utf-8")
        self.settings = {config.service_sid: config.settings for config in parse(self.text, "x").services}


def numbered(found: Sequence[Row]) -> list[Row]:
    return [{"sid": f"BS{number:032x}", **row} for number, row in enumerate(found)]


@given(
    st.lists(rows, max_size=10).map(numbered),
    st.tuples(chat, chat),
    st.sampled_from(["default", "others"]),
    st.randoms(),
)
@settings(deadline=None, max_examples=12)
def test_whatever_a_snapshot_holds(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[Row],
    said: tuple[Any, Any],
    which: str,
    dice: random.Random,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "anything"
    rules = {"default": RULES, "others": OTHERS}[which]
    one = Mapping(folder, [found], said, rules)
    exactly_one_outcome(one, found)
    unknown_values_surface(one, found)
    nothing_is_wider(one, said, rules)
    templates_are_translated_for_good(one, said, rules)
    # Another order, in other parts: the same.
    mixed = dice.sample(found, len(found))
    cut = dice.randint(0, len(found))
    other = Mapping(folder, [mixed[:cut], [], mixed[cut:]], said, rules)
    assert other.rows == one.rows
    assert other.text == one.text
    assert other.summary.findings == one.summary.findings
    assert other.summary.services == one.summary.services


def exactly_one_outcome(mapping: Mapping, found: list[Row]) -> None:
    assert sorted(mapping.rows) == sorted(row["sid"] for row in found)
    assert Counter(row["outcome"] for row in mapping.rows.values()) == mapping.summary.totals("outcomes")
    assert Counter(row["action"] for row in mapping.rows.values()) == mapping.summary.totals("actions")
    assert mapping.summary.bindings == len(found)
    assert set(mapping.summary.totals("outcomes")) <= set(OUTCOMES)
    assert set(mapping.summary.totals("actions")) <= set(ACTIONS)
    used = sum(sum(item["bindings"].values()) for one in mapping.summary.services for item in one["credentials"])
    assert used == sum(row["credential_sid"] not in (None, "", "none") for row in found)


def unknown_values_surface(mapping: Mapping, found: list[Row]) -> None:
    notes = {(item.code, item.service_sid, item.subject): item.count for item in mapping.summary.findings}
    names = {
        *RULES.message_types,
        *SDK[:3],
        "added_to_conversation",
        "removed_from_conversation",
        "consumption_update",
    }
    for row in found:
        marks = mapping.rows[row["sid"]]["findings"]
        for name in row["message_types"] or ():
            if name not in names:
                assert "message-type-unknown" in marks
                assert notes["message-type-unknown", row["service"], "(null)" if name is None else name or "(empty)"]
        if row["binding_type"] not in ("apn", "fcm", "gcm") and "binding-expired" not in marks:
            assert "binding-type-unknown" in marks
            assert notes["binding-type-unknown", row["service"], row["binding_type"] or "none"]
        for name in ("identity", "endpoint", "credential_sid"):
            if row[name] is None:
                assert "binding-incomplete" in marks
                assert notes["binding-incomplete", row["service"], name]
        assert ("message-types-missing" in marks) == (row["message_types"] is None)


def nothing_is_wider(mapping: Mapping, said: Sequence[Any], rules: Rules) -> None:
    proposed = {(item.service_sid, item.path) for item in mapping.summary.proposals}
    folded = {(item.service_sid, item.subject) for item in mapping.summary.findings if item.code == "push-folded"}
    for sid, notifications in zip(SERVICES, said, strict=True):
        theirs = [row for row in mapping.rows.values() if mapping.services[row["sid"]] == sid]
        names = {name for row in theirs if row["outcome"] != "expired" for name in row["message_types"] or ()}
        asked = {asked_for(name, rules) for name in names}
        for target in rules.targets:
            sources = {
                name: (notifications or {}).get(name) for name, to in rules.message_types.items() if to == target
            }
            flags = {name: one["enabled"] for name, one in sources.items() if isinstance(one, dict)
                     and isinstance(one.get("enabled"), bool)}  # fmt: skip
            silent = set(sources) - set(flags)
            inferred = bool(silent and asked & {*silent, target})
            path = f"{target}.enabled"
            enabled = mapping.settings[sid].get(path)
            if rules is OTHERS or not inferred:
                assert enabled == (any(flags.values()) or inferred if flags or inferred else None)
            else:
                assert enabled == (True if any(flags.values()) else None)
            assert ((sid, path) in proposed) == (rules is RULES and inferred and not any(flags.values()))
            assert ((sid, path) in folded) == bool(enabled and flags and not all(flags.values()))
        media = mapping.settings[sid].get("new_message.with_media.enabled")
        assert media == mapping.settings[sid].get("new_message.enabled")


def asked_for(name: str | None, rules: Rules) -> str:
    """What a message type asks for: Chat's plain name, or Conversations'."""
    found = translate_message_type(name, rules)
    plain = (name or "").removeprefix("twilio.channel.").removeprefix("twilio.ipmsg.")
    return found.target if found.code or plain not in rules.message_types else plain


def templates_are_translated_for_good(mapping: Mapping, said: Sequence[Any], rules: Rules) -> None:
    for sid, notifications in zip(SERVICES, said, strict=True):
        for path, value in mapping.settings[sid].items():
            if path.endswith(".template"):
                assert translate_template(str(value), rules) == value
        absent = not any(isinstance(one, dict) and "template" in one for one in (notifications or {}).values())
        assert not absent or not any(path.endswith(".template") for path in mapping.settings[sid])


def test_tasks_run_in_other_processes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrate.map.mapping.ROWS_A_TASK", 10)
    found = [
        {"sid": f"BS{number:032x}", "identity": f"user {number % 7}", "message_types": ["new_message", "x"]}
        for number in range(100)
    ]
    parts = [found[start : start + 5] for start in range(0, 100, 5)]
    write_snapshot(tmp_path / "s", {SERVICES[0]: {"friendly_name": "x"}}, {SERVICES[0]: parts})
    threads = map_snapshot(tmp_path / "s", tmp_path / "threads")
    with ProcessPoolExecutor(2) as executor:
        processes = map_snapshot(tmp_path / "s", tmp_path / "processes", executor=executor)
    assert processes == threads
    files = sorted(path.relative_to(tmp_path / "threads") for path in (tmp_path / "threads").rglob("*.parquet"))
    assert len(files) == 10
    for file in files:
        assert (tmp_path / "threads" / file).read_bytes() == (tmp_path / "processes" / file).read_bytes()
